"""Edits by one key: those of many nuclei are asked for first. No widgets here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from muse_core.array_types import IntArray
from napari_muse.annotations.new_regions import mark_reviewed
from napari_muse.interaction.asking import Ask
from napari_muse.layers.rows_in_view import MAX_IN_VIEW

if TYPE_CHECKING:
    from napari_muse.session import MuseSession

MOST_UNASKED = 500
"""Nobody looks at more nuclei than this before pressing one key."""
_TRAINS = "They will train and judge models. Ctrl-Z takes it back."
_UNDO = "Ctrl-Z takes it back."


class CarefulEdits:
    """Edits of nuclei and fields by keys and buttons; large ones are asked for first.

    Methods raise UserError where what they were asked to do cannot be kept; after a question the
    session says it.
    """

    def __init__(self, session: MuseSession, ask: Ask) -> None:
        self._session = session
        self._ask = ask

    def set_class(self, ids: IntArray, class_id: int, then: Callable[[], None]) -> None:
        """Give nuclei a class by its id, and do what follows."""
        annotations = self._session.annotations
        name = annotations.class_name(class_id)
        self._change(
            ids,
            f"Give {len(ids):,} nuclei the class {name}?",
            "Give them the class",
            lambda: annotations.set_class(ids, class_id),
            f"{len(ids):,} nuclei are {name}.",
            then,
        )

    def confirm(self, ids: IntArray, then: Callable[[], None]) -> None:
        """Confirm nuclei, and do what follows."""
        annotations = self._session.annotations
        self._change(
            ids,
            f"Confirm {len(ids):,} nuclei?",
            "Confirm them",
            lambda: annotations.confirm(ids),
            f"{len(ids):,} nuclei confirmed.",
            then,
        )

    def delete(self, ids: IntArray, then: Callable[[], None]) -> None:
        """Remove nuclei, and do what follows."""
        annotations = self._session.annotations
        self._change(
            ids,
            f"Remove {len(ids):,} nuclei?",
            "Remove them",
            lambda: annotations.delete(ids),
            f"{len(ids):,} nuclei removed.",
            then,
        )

    def mark_field_reviewed(self) -> None:
        """Say that every nucleus in the visible field has been looked at."""
        session = self._session
        seen, annotations = session.visible_region(), session.annotations
        session.annotations.require_writable()
        count = int((annotations.inside(seen) & annotations.present).sum())
        as_density = session.nuclei.in_view > MAX_IN_VIEW

        def mark() -> None:
            mark_reviewed(session.annotations, seen)
            session.done.emit(f"Field with {_nuclei(count)} marked as reviewed.")

        drawn = " too many to draw one by one," if as_density else ""
        self._when_sure(
            count > MOST_UNASKED or as_density,
            f"The visible field has {_nuclei(count)},{drawn} and “reviewed” says that you have"
            f" looked at each of them. {_TRAINS}",
            "Mark as reviewed",
            mark,
        )

    def mark_region_reviewed(self, number: int, count: int, otherwise: Callable[[], None]) -> None:
        """Say that every nucleus in a region has been looked at.

        Args:
            number: Of the region.
            count: How many nuclei it has.
            otherwise: What to do where it is not marked.
        """
        annotations = self._session.annotations

        def mark() -> None:
            annotations.change_region(number, reviewed=True)
            self._session.done.emit(f"Region with {_nuclei(count)} marked as reviewed.")

        self._when_sure(
            count > MOST_UNASKED,
            f"The region has {_nuclei(count)}, and “reviewed” says that you have looked at each"
            f" of them. {_TRAINS}",
            "Mark as reviewed",
            mark,
            otherwise,
        )

    def _change(
        self,
        ids: IntArray,
        question: str,
        button: str,
        act: Callable[[], Any],
        sentence: str,
        then: Callable[[], None],
    ) -> None:
        self._session.annotations.require_writable()

        def change() -> None:
            act()
            then()
            if len(ids) > 1:
                self._session.done.emit(sentence)

        shown = np.isin(ids, self._session.nuclei.shown_ids).sum()
        hidden = f" {len(ids) - shown:,} of them are out of view." if shown < len(ids) else ""
        self._when_sure(len(ids) > MOST_UNASKED, f"{question}{hidden} {_UNDO}", button, change)

    def _when_sure(
        self,
        doubtful: bool,
        question: str,
        button: str,
        act: Callable[[], None],
        otherwise: Callable[[], None] = lambda: None,
    ) -> None:
        if not doubtful:
            act()
            return

        def agreed() -> None:
            if not self._session.attempt(act):
                otherwise()

        self._ask(question, button, agreed, otherwise)


def _nuclei(count: int) -> str:
    return "1 nucleus" if count == 1 else f"{count:,} nuclei"
