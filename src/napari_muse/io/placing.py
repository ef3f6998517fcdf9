"""Bringing the nuclei of a file to their places on the slide that is open."""

from __future__ import annotations

from muse_core.nuclei import NucleusFile, placed_on_slide
from muse_core.slides import Slide


def placed(content: NucleusFile, slide: Slide) -> NucleusFile:
    """The nuclei and regions of a file, level-0 pixels of a slide, however the file counts."""
    area = slide.scanned
    return placed_on_slide(content, (area.x, area.y), (area.w, area.h))
