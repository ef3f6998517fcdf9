"""The image layers of slides: one is shown at a time, and what lies on it is above it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muse_core.slides import Slide
from napari_muse.io.reader import SLIDE_KEY, spatial_settings
from napari_muse.layers.slide_guard import FIXED_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel

_PIXEL = "pixel"
SlideKey = tuple[str, str]


def slide_of(layer: Any) -> Slide | None:
    """The slide that a layer shows, or None."""
    slide = layer.metadata.get(SLIDE_KEY)
    return slide if isinstance(slide, Slide) else None


def slide_layers(viewer: ViewerModel) -> list[Any]:
    """All layers that show slides, from the bottom up."""
    return [layer for layer in viewer.layers if slide_of(layer) is not None]


def _file_key(path: Path) -> str:
    """The same for all spellings of a path: relative, through links, in another case."""
    try:
        found = path.stat()
    except OSError:
        return os.path.normcase(path.resolve())
    # Some network drives number no files.
    if not found.st_ino:
        return os.path.normcase(path.resolve())
    return f"{found.st_dev}:{found.st_ino}"


def slide_key(slide: Slide) -> SlideKey:
    """Equal for slides that show the same image and plane of the same file."""
    return _file_key(slide.path), slide.part


def show_alone(viewer: ViewerModel, shown: Any) -> None:
    """Show one slide and let go of the files of the others, until they are shown again."""
    for layer in slide_layers(viewer):
        if layer is shown:
            continue
        if layer.visible:
            layer.visible = False
        slide = slide_of(layer)
        if slide is not None:
            slide.rest()
    if not shown.visible:
        shown.visible = True


def agree_on_units(viewer: ViewerModel, mpp: float | None) -> None:
    """Give all layers in pixels or microns the units of the slide that is shown.

    Only the name changes and nothing is scaled: napari draws without a scale, and warns, where
    layers differ in units, be they hidden or in plain pixels.
    """
    units = spatial_settings(mpp)["units"]
    for layer in viewer.layers:
        if {str(unit) for unit in layer.units} <= {_PIXEL, "micrometer", "um"}:
            layer.units = (*layer.units[:-2], *units)


def raise_overlays(viewer: ViewerModel, image: Any, top: Any) -> None:
    """Move all but other pictures above a slide, with the nuclei on top of all."""
    layers = viewer.layers
    below = [
        layer
        for layer in list(layers)[: layers.index(image)]
        if type(layer).__name__ != "Image" or layer.metadata.get(FIXED_KEY)
    ]
    for layer in [*below, top]:
        at = layers.index(layer)
        if at != len(layers) - 1:
            layers.move(at, len(layers))
