"""Read the nuclei that a command is given, check whether they are the slide's, and place them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from muse_core.errors import UserError

if TYPE_CHECKING:
    from muse_core.nuclei import NucleusFile
    from muse_core.slides import Slide


def read_given(path: Path, outlines_are_nuclei: bool = False) -> NucleusFile:
    """Read a file of nuclei, or what an annotation store holds, deleted nuclei too.

    Args:
        path: The file or store.
        outlines_are_nuclei: See :func:`muse_core.nuclei.read_nuclei`.

    Raises:
        UserError: It cannot be read.
    """
    from muse_core.nuclei import read_nuclei
    from muse_core.nuclei.store.content import store_content
    from muse_core.nuclei.store.locate import STORE_SUFFIX

    if path.suffix.lower() == STORE_SUFFIX:
        return store_content(path, with_deleted=True)
    return read_nuclei(path, outlines_are_nuclei)


def given_nuclei_of(
    content: NucleusFile, slide: Slide, name: str, other_slide: bool
) -> NucleusFile:
    """The nuclei of a file, with positions relative to the corner of the slide.

    Nuclei outside the slide are kept; a note counts them.

    Args:
        content: The file, as read.
        slide: The slide that the command is for.
        name: The file's, for errors.
        other_slide: Whether to accept nuclei of another slide.

    Raises:
        UserError: The file names another slide, or all of it lies outside this one; unless
            other_slide.
    """
    from muse_core.nuclei import placed_on_slide
    from muse_core.nuclei.fitting import SlideFrame, fit, other_slide_named
    from muse_core.nuclei.store import identify_slide

    frame = SlideFrame(slide.width, slide.height, slide.mpp)
    if content.slide is not None and not other_slide:
        named = other_slide_named(content, identify_slide(slide.path, slide.part).recorded)
        if named:
            raise UserError(f"{name}: {named} --other-slide takes it all the same.")
    placed = placed_on_slide(content, slide.scanned)
    try:
        doubts = fit(placed, frame).doubts
    except UserError as error:
        if not other_slide:
            raise UserError(f"{name}: {error} --other-slide takes it all the same.") from error
        doubts = (str(error),)
    return replace(placed, notes=(*placed.notes, *doubts))
