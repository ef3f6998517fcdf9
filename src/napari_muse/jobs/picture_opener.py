"""Create slides from images in a viewer's layers, in the background."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from muse_core.errors import UserError
from muse_core.slides import Slide, can_open
from muse_core.slides.arrays import ArraysLevel, arrays_source
from muse_core.slides.slide import SlideSource
from muse_core.slides.window import WindowServer
from napari_muse.io.reader import open_for_window
from napari_muse.layers.pictures import Picture

_GRID, _PATCH_PX = 4, 64
"""A file is compared with a layer in this many patches along each axis, this wide."""
_SAME = 3.0
"""Mean difference of grey levels up to which two images count as the same, decoded differently."""


def open_picture(picture: Picture, server: WindowServer) -> Slide:
    """Create a slide from a picture; may be called in any thread.

    If the layer shows the content of its file, the slide is that of the file, which jobs read
    themselves; else jobs get the pixels from the window.

    Raises:
        UserError: It is no image that can be read.
    """
    source = arrays_source(list(picture.levels), picture.name)
    if picture.path is not None:
        slide = _of_file(picture, source)
        if slide is not None:
            return slide
    finest = source.levels[0]
    assert isinstance(finest, ArraysLevel)
    path = server.file_for(picture.name, finest.fingerprint())
    return Slide(replace(source, path=path, mpp=picture.mpp, mpp_note=picture.mpp_note))


def _of_file(picture: Picture, shown: SlideSource) -> Slide | None:
    """The slide of the layer's file, or None where the layer shows something else."""
    path = Path(picture.path) if picture.path is not None else None
    if path is None or not can_open(path):
        return None
    try:
        slide = open_for_window(path)
        if _is_same(slide.source, shown):
            # What the file states wins; the scale of the layer may be a reader's guess.
            return slide if slide.mpp or not picture.mpp else slide.with_mpp(picture.mpp)
    except UserError:
        return None
    slide.close()
    return None


def _is_same(file: SlideSource, shown: SlideSource) -> bool:
    one, other = file.levels[0], shown.levels[0]
    if one.shape != other.shape:
        return False
    height, width = one.shape[:2]
    for y in np.linspace(0, max(0, height - _PATCH_PX), _GRID).astype(int).tolist():
        for x in np.linspace(0, max(0, width - _PATCH_PX), _GRID).astype(int).tolist():
            area = (x, y, min(width, x + _PATCH_PX), min(height, y + _PATCH_PX))
            difference = one.read(*area).astype(np.int16) - other.read(*area)
            if np.abs(difference).mean() > _SAME:
                return False
    return True
