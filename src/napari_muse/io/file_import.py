"""Taking the nuclei of a file over, after a question where they may be of another slide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from muse_core.errors import UserError
from muse_core.nuclei import NucleusFile
from muse_core.nuclei.fitting import SlideFrame, fit
from muse_core.slides import Slide

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
