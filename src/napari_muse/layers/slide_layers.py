"""The image layers of slides, of which one is shown at a time below its overlays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from muse_core.slides import Slide
from napari_muse.annotations.coordinates import Placement
from napari_muse.annotations.slide_key import slide_key
from napari_muse.io.reader import SLIDE_KEY, SOURCE_KEY
from napari_muse.layers.slide_guard import AREAS_KEY, FIXED_KEY, PERSONS_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel

_UNITS_KEY = "muse_units"
"""Layer metadata: the units a layer had, and those it was given to match the other layers."""
_PIXEL = "pixel"
_LONG = {"um": "micrometer"}
"""napari's names of units."""


def slide_of(layer: Any) -> Slide | None:
    """The slide that a layer shows, or None.

    None for layers that napari derives from a slide's layer, such as a channel, although they copy
    its metadata.
    """
    slide = layer.metadata.get(SLIDE_KEY)
    return slide if isinstance(slide, Slide) and getattr(layer, "rgb", False) else None


def slide_layers(viewer: ViewerModel) -> list[Any]:
    """All layers that show slides, from the bottom up."""
    return [layer for layer in viewer.layers if slide_of(layer) is not None]


def shows(viewer: ViewerModel, slide: Slide) -> bool:
    """Whether any layer shows a slide; a person can make several of one picture."""
    shown = (slide_of(layer) for layer in slide_layers(viewer))
    return any(x is not None and slide_key(x) == slide_key(slide) for x in shown)


def show_alone(viewer: ViewerModel, shown: Any) -> None:
    """Show one slide and close the files of the others until they are shown again."""
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


def placement_of(layer: Any, slide: Slide | None) -> Placement:
    """Return the placement of the slide that a layer shows."""
    if layer is not None and layer.metadata.get(PERSONS_KEY):
        return Placement.of_layer(layer, own_unit(layer))
    return Placement.of_mpp(slide.mpp if slide else None)


def placement_in(viewer: ViewerModel, slide: Slide | None) -> Placement:
    """Return the placement of a slide in a viewer."""
    layer = next((x for x in viewer.layers if slide and slide_of(x) is slide), None)
    return placement_of(layer, slide)


def own_unit(layer: Any) -> str:
    """The original unit of a layer, even if it was given another one since."""
    own, given = layer.metadata.get(_UNITS_KEY, (None, None))
    unit = str(layer.units[-1])
    return own if own and unit == given else unit


def agree_on_units(viewer: ViewerModel, unit: str) -> None:
    """Give all layers in pixels or microns the units of the slide that is shown.

    Only the unit's name changes; nothing is rescaled. If layers differ in units, even hidden ones,
    napari ignores their scales and warns.
    """
    for layer in viewer.layers:
        if {str(unit) for unit in layer.units} <= {_PIXEL, "micrometer", "um"}:
            own = own_unit(layer)
            if {str(u) for u in layer.units[-2:]} == {_LONG.get(unit, unit)}:
                continue
            # Set before the units, whose event makes others call own_unit().
            layer.metadata[_UNITS_KEY] = (own, _LONG.get(unit, unit))
            layer.units = (*layer.units[:-2], unit, unit)


def agree_without_slide(viewer: ViewerModel, own: Callable[[Any], bool], otherwise: str) -> None:
    """Give MUSE's layers, and those it has given a unit, the unit of the others.

    Args:
        viewer: It shows no slide.
        own: Whether a layer is MUSE's.
        otherwise: Their unit where the others have none or several.
    """
    unit = unit_of_others(viewer) or otherwise
    for layer in viewer.layers:
        given = layer.metadata.get(AREAS_KEY) or own_unit(layer) != str(layer.units[-1])
        if (given or own(layer)) and {str(u) for u in layer.units[-2:]} != {unit}:
            layer.units = (*layer.units[:-2], unit, unit)


def raise_overlays(viewer: ViewerModel, image: Any, top: Any) -> None:
    """Move all layers except other pictures above a slide, with the nuclei on top."""
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


def leave_other_slides(viewer: ViewerModel, shown: Any) -> None:
    """Make the layer of the slide that is shown active if that of another slide is.

    What makes a layer active for a moment and then the one before would show the other slide again.
    """
    active = viewer.layers.selection.active
    if active is not None and active is not shown and slide_of(active) is not None:
        viewer.layers.selection.active = shown


def first_placement(viewer: ViewerModel) -> Placement:
    """Placement of nuclei while no slide is current, in the units of the other layers."""
    slides = slide_layers(viewer)
    if slides:
        return placement_of(slides[-1], slide_of(slides[-1]))
    return Placement(unit=unit_of_others(viewer) or "um")


def first_layer_of(viewer: ViewerModel, slide: Slide, layer: Any) -> Any:
    """Another layer of a layer's slide; None if there is none, or a person has made one of them."""
    for other in slide_layers(viewer):
        known = slide_of(other)
        mine = not any(x.metadata.get(PERSONS_KEY) for x in (layer, other))
        if other is not layer and mine and known and slide_key(known) == slide_key(slide):
            return other
    return None


def unit_of_others(viewer: ViewerModel) -> str | None:
    """The common unit of all layers that MUSE did not add; None if there is none or several."""
    others = [
        x for x in viewer.layers if not x.metadata.keys() & {SOURCE_KEY, FIXED_KEY, AREAS_KEY}
    ]
    # What MUSE has given them counts only where they never agreed before.
    for units in ({own_unit(x) for x in others}, {str(x.units[-1]) for x in others}):
        if len(units) == 1:
            return units.pop()
    return None
