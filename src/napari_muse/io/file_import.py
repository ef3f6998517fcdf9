"""Import the nuclei of a file, after a question if they may be of another slide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from muse_core.errors import UserError
from muse_core.nuclei import NucleusFile, placed_on_slide
from muse_core.nuclei.counted import counted, counted_nuclei
from muse_core.nuclei.fitting import SlideFrame, fit
from muse_core.nuclei.store import Edit
from muse_core.slides import Slide
from napari_muse.annotations.slide_key import slide_key
from napari_muse.interaction.undo_steps import say_done
from napari_muse.io.reader import FILE_KEY

if TYPE_CHECKING:
    from napari_muse.annotations.slide_annotations import SlideAnnotations
    from napari_muse.session import MuseSession

NOTHING = "Nothing was taken over."
_OF_KEY = "muse_file_of"
"""Layer metadata: key of the slide that a file's nuclei wait for."""


def take_over(
    session: MuseSession,
    content: NucleusFile,
    annotations: SlideAnnotations,
    slide: Slide,
    say: Callable[[str], None],
) -> None:
    """Import the content of a file into a slide, without what lies outside the slide.

    Args:
        session: Asks the user, and shows errors.
        content: The content, relative to the corner of the slide.
        annotations: The slide's annotations.
        slide: The slide.
        say: Called once, with a sentence on the outcome.
    """

    def load(fitting: NucleusFile) -> None:
        edits: list[Edit | None] = []
        taken = session.attempt(lambda: edits.append(annotations.load(fitting)))
        say(" ".join((*_outcome(fitting, edits[0]), *fitting.notes)) if taken else NOTHING)
        session.rest_unseen()

    try:
        frame = SlideFrame(slide.width, slide.height, slide.mpp, annotations.recorded_slide)
        found = fit(content, frame)
    except UserError as error:
        session.refused.emit(str(error))
        say(NOTHING)
        return
    if not found.doubts:
        load(found.content)
        return
    left_out = " ".join(found.doubts)

    def agreed() -> None:
        notes = (*found.content.notes, left_out)
        load(replace(found.content, notes=notes))

    session.ask(found.question, "Take over", agreed, lambda: say(NOTHING))


def _outcome(content: NucleusFile, edit: Edit | None) -> list[str]:
    """Sentences on how much of a file was taken over, and how much was left out."""
    n_nuclei = 0 if edit is None else len(edit.new_ids)
    n_regions = 0 if edit is None else len(edit.of("regions"))
    said = [f"{_objects(n_nuclei, n_regions)} taken over."]
    nuclei, regions = len(content.table) - n_nuclei, len(content.regions) - n_regions
    if nuclei + regions == 1:
        said.append(f"{_objects(nuclei, regions)} was left out: there is one in its place already.")
    elif nuclei + regions:
        said.append(
            f"{_objects(nuclei, regions)} were left out: there are others in their places already."
        )
    return said


def _objects(n_nuclei: int, n_regions: int) -> str:
    """Such as "3 nuclei and 1 region"."""
    regions = counted(n_regions, "region", "regions")
    if n_regions and not n_nuclei:
        return regions
    return " and ".join((counted_nuclei(n_nuclei), *([regions] if n_regions else ())))


def _is_file_layer(layer: Any) -> bool:
    """Whether a layer shows a file of nuclei that has not been imported into a slide yet."""
    return isinstance(layer.metadata.get(FILE_KEY), NucleusFile)


def take_over_layers(session: MuseSession) -> None:
    """Import the nuclei of files' layers into the current slide, and remove the layers.

    Without a slide, and while its nuclei are being read, they wait; they go to no other slide that
    is shown meanwhile.
    """
    if session.slide is None:
        return
    for layer in [x for x in session.viewer.layers if _is_file_layer(x)]:
        layer.visible = False
        of = layer.metadata.setdefault(_OF_KEY, slide_key(session.slide))
        if of == slide_key(session.slide) and not session.annotations.reading:
            _take_over_layer(session, layer)


def _take_over_layer(session: MuseSession, layer: Any) -> None:
    session.placement.apply(layer)
    slide, annotations = session.require_slide(), session.annotations
    content = placed_on_slide(layer.metadata.pop(FILE_KEY), slide.scanned)

    def say(sentence: str) -> None:
        # take_over() has said why nothing was taken.
        if sentence != NOTHING:
            say_done(session, annotations, sentence)

    take_over(session, content, annotations, slide, say)
    QTimer.singleShot(0, lambda: session.drop(layer))
