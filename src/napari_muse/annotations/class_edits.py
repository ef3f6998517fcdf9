"""Edits of a slide's classes; each can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.counted import counted
from muse_core.nuclei.named import named
from muse_core.nuclei.store import AnnotationStore, Edit
from napari_muse.annotations.slide_annotations import SlideAnnotations


class ClassEdits:
    """Changes the classes of a slide's annotations.

    Methods raise UserError where a change cannot be made or kept.
    """

    def __init__(self, annotations: SlideAnnotations) -> None:
        self._annotations = annotations

    @property
    def _scheme(self) -> ClassScheme:
        return self._annotations.scheme

    def rename(self, name: str, new: str) -> None:
        """Give a class another name."""
        if new != name:
            changed = replace(self._scheme.classes[self._scheme.index(name)], name=new)
            self._edit(lambda store: store.change_class(name, changed))

    def set_color(self, name: str, color: str) -> None:
        """Give a class another colour, as #rrggbb."""
        changed = replace(self._scheme.classes[self._scheme.index(name)], color=color)
        self._edit(lambda store: store.change_class(name, changed))

    def set_distinct_colors(self) -> None:
        """Give the first six classes colours that colour-blind people can tell apart."""
        changes = self._scheme.changes_for_distinct_colors()
        if changes:
            self._edit(lambda store: store.change_classes(changes))

    def set_key(self, name: str, key: str) -> None:
        """Give a class another key, or none; a class that has that key gets the old one."""
        changes = self._scheme.changes_for_key(name, key)
        self._edit(lambda store: store.change_classes(changes))

    def add(self) -> None:
        """Add a class at the end, with a name, colour and key that are free."""
        new = self._scheme.with_new_class().classes[-1]
        self._edit(lambda store: store.add_class(new))

    def merge(self, gone: str, into: str) -> None:
        """Give all nuclei of a class another, and drop the first."""
        n = self._count(gone)
        self._annotations.edit_classes(lambda store: store.merge_classes(gone, into), n)

    def merging(self, gone: str, into: str) -> str:
        """Return the question to ask before two classes are merged.

        Args:
            gone: The class to drop, "" where none is chosen.
            into: The class that takes over its nuclei.

        Raises:
            UserError: No class is chosen, or both are the same.
        """
        if not gone:
            raise UserError("Choose the class that is to go in the table first.")
        if gone == into:
            raise UserError(f"Choose at right into which class {gone} is to be merged.")
        nuclei = counted(self._count(gone), "nucleus becomes", "nuclei become")
        merge = f"Merge the {named('class', gone)} into {into}?"
        return f"{merge} {nuclei} {into}, and {gone} is dropped."

    def _count(self, name: str) -> int:
        return int(self._annotations.counts()[self._scheme.index(name)])

    def _edit(self, change: Callable[[AnnotationStore], Edit]) -> None:
        self._annotations.edit_classes(change)
