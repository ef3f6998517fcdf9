"""Edits by keys and buttons, with a question before many nuclei are changed. No widgets here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from muse_core.array_types import IntArray
from muse_core.nuclei.counted import counted, counted_nuclei
from muse_core.nuclei.named import named
from napari_muse.annotations.new_regions import mark_reviewed
from napari_muse.interaction.undo_steps import say_done
from napari_muse.layers.rows_in_view import MAX_IN_VIEW

if TYPE_CHECKING:
    from napari_muse.session import MuseSession

MOST_UNASKED = 500
"""Most nuclei that are changed without a question."""
_TRAINS = "They will train and judge models. Ctrl-Z takes it back."
_UNDO = "Ctrl-Z takes it back."


class CarefulEdits:
    """Edits of nuclei and fields by keys and buttons, with a question before large ones.

    Nothing is changed while all nuclei are hidden. Changes outside the view are reported.

    Methods raise UserError if the edit cannot be saved; after a question the session shows it.
    """

    def __init__(self, session: MuseSession, arriving: Callable[[], bool] = lambda: False) -> None:
        """Create the editor.

        Args:
            session: Session whose nuclei are changed; it asks the user.
            arriving: Whether the view is on its way to the nuclei that are selected.
        """
        self._session = session
        self._arriving = arriving

    def set_class(self, ids: IntArray, class_id: int, then: Callable[[], None]) -> None:
        """Give nuclei a class by its id, then call ``then``."""
        annotations = self._session.annotations
        name = annotations.class_name(class_id)
        self._change(
            ids,
            f"Give {len(ids):,} nuclei the {named('class', name)}?",
            "Give them the class",
            lambda: annotations.set_class(ids, class_id),
            f"{counted(len(ids), 'nucleus is', 'nuclei are')} {name}.",
            then,
        )

    def confirm(self, ids: IntArray, then: Callable[[], None]) -> None:
        """Confirm nuclei, then call ``then``."""
        annotations = self._session.annotations
        self._change(
            ids,
            f"Confirm {len(ids):,} nuclei?",
            "Confirm them",
            lambda: annotations.confirm(ids),
            f"{counted_nuclei(len(ids))} confirmed.",
            then,
        )

    def delete(self, ids: IntArray, then: Callable[[], None]) -> None:
        """Remove nuclei, then call ``then``."""
        annotations = self._session.annotations
        self._change(
            ids,
            f"Remove {len(ids):,} nuclei?",
            "Remove them",
            lambda: annotations.delete(ids),
            f"{counted_nuclei(len(ids))} removed.",
            then,
        )

    def mark_field_reviewed(self) -> None:
        """Mark the visible field as reviewed."""
        session = self._session
        seen, annotations = session.visible_region(), session.annotations
        annotations.require_writable()
        session.nuclei.require_shown()
        inside = annotations.inside(seen)
        count = int((inside & annotations.present).sum())
        hidden = count - int((inside & session.nuclei.wanted()).sum())
        as_density = session.nuclei.in_view > MAX_IN_VIEW

        def mark() -> None:
            # Another slide may have been opened since the question.
            mark_reviewed(annotations, seen)
            said = f"Field with {counted_nuclei(count)} marked as reviewed."
            say_done(session, annotations, said)

        drawn = " too many to draw one by one," if as_density else ""
        drawn += f" {hidden:,} of them of classes that are hidden," if hidden else ""
        self._when_sure(
            count > MOST_UNASKED or as_density or hidden > 0,
            f"The visible field has {counted_nuclei(count)},{drawn} and “reviewed” says that you"
            f" have looked at each of them. {_TRAINS}",
            "Mark as reviewed",
            mark,
        )

    def mark_region_reviewed(self, number: int, count: int, otherwise: Callable[[], None]) -> None:
        """Mark a region as reviewed.

        Args:
            number: Of the region.
            count: How many nuclei it has.
            otherwise: Called if it is not marked.
        """
        annotations = self._session.annotations

        def mark() -> None:
            annotations.change_region(number, reviewed=True)
            said = f"Region with {counted_nuclei(count)} marked as reviewed."
            say_done(self._session, annotations, said)

        self._when_sure(
            count > MOST_UNASKED,
            f"The region has {counted_nuclei(count)}, and “reviewed” says that you have looked at"
            f" each of them. {_TRAINS}",
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
        annotations = self._session.annotations
        annotations.require_writable()
        self._session.nuclei.require_shown()
        unseen = self._out_of_view(ids)
        beside = f" {_that_are(unseen, len(ids))} out of view." if unseen else ""

        def change() -> None:
            act()
            # Another slide, shown by now, has nuclei of the same ids.
            if annotations is self._session.annotations:
                then()
            if len(ids) > 1 or unseen:
                say_done(self._session, annotations, f"{sentence}{beside}")

        self._when_sure(len(ids) > MOST_UNASKED, f"{question}{beside} {_UNDO}", button, change)

    def _out_of_view(self, ids: IntArray) -> int:
        """Return the number of nuclei that lie outside the view."""
        if self._arriving():
            return 0
        chosen = self._session.annotations.rows_of(ids)
        view = self._session.nuclei.field_of_view()
        return len(chosen) - int(view.contains(chosen["x"], chosen["y"]).sum())

    def _when_sure(
        self,
        unsure: bool,
        question: str,
        button: str,
        act: Callable[[], None],
        otherwise: Callable[[], None] = lambda: None,
    ) -> None:
        if not unsure:
            act()
            return

        def agreed() -> None:
            if not self._session.attempt(act):
                otherwise()

        self._session.ask(question, button, agreed, otherwise)


def _that_are(count: int, of: int) -> str:
    """Say how many of some nuclei something is true of."""
    if count == of:
        return "It is" if of == 1 else "All of them are"
    return f"{count:,} of them {'is' if count == 1 else 'are'}"
