"""Taking the nuclei of a file over, after a question where they may be of another slide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from muse_core.errors import UserError
from muse_core.nuclei import NucleusFile, placed_on_slide
from muse_core.nuclei.fitting import SlideFrame, fit
from muse_core.slides import Slide
from napari_muse.io.reader import FILE_KEY

if TYPE_CHECKING:
    from napari_muse.annotations.slide_annotations import SlideAnnotations
    from napari_muse.session import MuseSession

NOTHING = "Nothing was taken over."


def take_over(
    session: MuseSession,
    content: NucleusFile,
    annotations: SlideAnnotations,
    slide: Slide,
    say: Callable[[str], None],
) -> None:
    """Take what a file has over into a slide; what lies beside the slide is left out.

    Args:
        session: Asks the user, and says refusals.
        content: Positions counted from the corner of the slide.
        annotations: Those of the slide.
        slide: Whose nuclei they are to be.
        say: Called once, with what came of it.
    """

    def load(fitting: NucleusFile) -> None:
        sentence = f"{len(fitting.table):,} nuclei taken over."
        taken = session.attempt(lambda: annotations.load(fitting))
        say(" ".join((sentence, *fitting.notes)) if taken else NOTHING)

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


def is_file_layer(layer: Any) -> bool:
    """Whether a layer is that of a file of nuclei, which no slide has taken over yet."""
    return isinstance(layer.metadata.get(FILE_KEY), NucleusFile)


def take_over_layer(session: MuseSession, layer: Any) -> None:
    """Take the nuclei of a file's layer over into the current slide, and drop the layer.

    Args:
        session: Has a current slide; gets the sentence on what came of it.
        layer: One of which :func:`is_file_layer` holds.
    """
    layer.visible = False
    session.placement.apply(layer)
    slide = session.require_slide()
    content = placed_on_slide(layer.metadata.pop(FILE_KEY), slide.scanned)

    def say(sentence: str) -> None:
        # Why nothing was taken has been said.
        if sentence != NOTHING:
            session.done.emit(sentence)

    take_over(session, content, session.annotations, slide, say)
    QTimer.singleShot(0, lambda: session.drop(layer))
