"""Undo and redo with a sentence on what was changed, and whether it is in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shapely import box, make_valid
from shapely.geometry import Polygon

from muse_core.nuclei.store import Edit
from napari_muse.interaction.which_slide import with_slide

if TYPE_CHECKING:
    from muse_core.slides import Region
    from napari_muse.annotations.slide_annotations import SlideAnnotations
    from napari_muse.session import MuseSession


def undo_edit(session: MuseSession) -> None:
    """Undo the last edit of the current slide, and report it."""
    edit = session.annotations.undo()
    said = _said("Undone", edit, session) if edit is not None else "There is nothing to undo."
    session.told.emit(said)


def redo_edit(session: MuseSession) -> None:
    """Redo what was undone last, and report it."""
    edit = session.annotations.redo()
    said = _said("Redone", edit, session) if edit is not None else "There is nothing to redo."
    session.told.emit(said)


def say_done(session: MuseSession, annotations: SlideAnnotations, sentence: str) -> None:
    """Report an edit that a person was asked about, with an offer to undo it.

    If another slide is shown by now, undo would take back an edit of that one: none is offered, and
    the slide that was edited is closed again.
    """
    if annotations is session.annotations:
        session.done.emit(sentence)
        return
    session.told.emit(with_slide(session, annotations, sentence))
    session.rest_unseen()


def _said(how: str, edit: Edit, session: MuseSession) -> str:
    sentences = [f"{how}: {edit.label}."]
    if edit.left_out:
        sentences.append(
            "1 nucleus of it was left as it is, for a detection has looked there since."
            if edit.left_out == 1
            else f"{edit.left_out:,} nuclei of it were left as they are, for a detection has looked"
            " there since."
        )
    if len(edit.nuclei) and not session.nuclei.layer.visible:
        sentences.append("The nuclei are hidden; V shows them.")
    elif _is_of_hidden_classes(edit, session.nuclei.hidden_classes):
        sentences.append("Its nuclei are of classes that are hidden; tick them to see it.")
    elif _is_out_of_view(edit, session.nuclei.field_of_view()):
        sentences.append("That is out of view.")
    return " ".join(sentences)


def _is_of_hidden_classes(edit: Edit, hidden: set[int]) -> bool:
    """Whether an edit changed nuclei, none of which is seen before or after it."""
    nuclei = edit.nuclei
    seen = (nuclei.before[nuclei.existed], nuclei.after[nuclei.exists])
    classes = {int(number) for rows in seen for number in rows["class_id"]}
    return bool(classes) and classes <= hidden


def _is_out_of_view(edit: Edit, view: Region) -> bool:
    """Whether an edit changed something on the slide, all of it outside the view."""
    places, outlines = edit.places, edit.outlines
    if not len(places) and not outlines:
        return False
    shown = box(view.x, view.y, view.x1, view.y1)
    seen = bool(view.contains(places[:, 0], places[:, 1]).any())
    return not seen and not any(shown.intersects(make_valid(Polygon(o))) for o in outlines)
