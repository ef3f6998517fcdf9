"""Areas that the user draws with napari's shapes, as polygons on a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from muse_core.errors import UserError
from muse_core.slides import PolygonRegion
from napari_muse.annotations.coordinates import Placement
from napari_muse.annotations.slide_key import slide_key
from napari_muse.layers.slide_guard import AREAS_KEY
from napari_muse.layers.slide_layers import placement_in

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from muse_core.slides import Slide

_SLIDE_KEY = "muse_area_of"
"""Layer metadata: key of the slide that the shapes of a layer lie on."""
_HIDDEN_KEY = "muse_area_hidden"
"""Layer metadata: the shapes are out of sight because their slide is."""
REGIONS_KEY = "muse_regions"
"""Layer metadata: the layer shows regions of the store, not areas drawn by the user."""
_EDGE_PX = 6.0
_NO_AREA = ("path", "line")


def area_layer(viewer: ViewerModel, slide: Slide | None) -> Any:
    """The shapes layer to draw areas in: the slide's first, or a new one scaled like the slide."""
    for layer in _shapes_of(viewer, slide):
        return layer
    return viewer.add_shapes(
        name="Areas",
        edge_color="#ffb000",
        face_color="transparent",
        edge_width=_EDGE_PX,
        metadata={AREAS_KEY: True},
        **placement_in(viewer, slide).settings,
    )


def draw_area(viewer: ViewerModel, slide: Slide | None, mode: str) -> None:
    """Let a person draw in the layer of areas, in a mode of napari's shapes."""
    viewer.layers.selection.active = layer = area_layer(viewer, slide)
    layer.mode = mode


def claim_areas(layer: Any, slide: Slide | None) -> None:
    """Assign the shapes of a new layer to this slide, whoever has added the layer."""
    if slide is not None and _is_shapes(layer):
        layer.metadata.setdefault(_SLIDE_KEY, slide_key(slide))


def show_areas(viewer: ViewerModel, slide: Slide) -> None:
    """Show the areas of a slide, except those the user has hidden; hide those of other slides."""
    mine = _shapes_of(viewer, slide)
    for layer in [x for x in viewer.layers if _is_shapes(x)]:
        if layer in mine:
            if layer.metadata.pop(_HIDDEN_KEY, False):
                layer.visible = True
        elif layer.visible:
            layer.metadata[_HIDDEN_KEY] = True
            layer.visible = False


def rescale_areas(viewer: ViewerModel, slide: Slide) -> None:
    """Keep the areas over the tissue they were drawn on when the slide's MPP becomes known."""
    placement = placement_in(viewer, slide)
    for layer in _shapes_of(viewer, slide):
        if layer.metadata.get(AREAS_KEY):
            placement.apply(layer)


def drawn_polygons(viewer: ViewerModel, slide: Slide | None) -> list[PolygonRegion]:
    """All visible shapes on a slide that enclose something; paths and lines are left out.

    Returns:
        Polygons in level-0 pixels.

    Raises:
        UserError: Nothing is drawn.
    """
    placement = placement_in(viewer, slide)
    found = [
        polygon
        for layer in _shapes_of(viewer, slide)
        if layer.visible
        for polygon in layer_polygons(layer, placement)
    ]
    if not found:
        raise UserError("Nothing is drawn yet: press “Draw area” and draw around the tissue.")
    return found


def layer_polygons(layer: Any, placement: Placement) -> list[PolygonRegion]:
    """The shapes of one layer that enclose something, level-0 pixels."""
    found = []
    for kind, vertices in zip(layer.shape_type, layer.data, strict=True):
        if kind in _NO_AREA:
            continue
        outline = _ellipse_outline(vertices) if kind == "ellipse" else vertices
        world = np.array([layer.data_to_world(v) for v in outline])
        x, y = placement.from_world(world)
        found.append(PolygonRegion(tuple(zip(x.tolist(), y.tolist(), strict=True))))
    return found


def wipe_areas(viewer: ViewerModel, slide: Slide | None) -> None:
    """Remove the shapes that :func:`drawn_polygons` finds."""
    for layer in _shapes_of(viewer, slide):
        if layer.visible:
            layer.data = []


def _shapes_of(viewer: ViewerModel, slide: Slide | None) -> list[Any]:
    """Shapes layers of a slide, and those that were there before any slide."""
    key = slide_key(slide) if slide else None
    return [x for x in viewer.layers if _is_shapes(x) and x.metadata.get(_SLIDE_KEY, key) == key]


def _is_shapes(layer: Any) -> bool:
    return type(layer).__name__ == "Shapes" and not layer.metadata.get(REGIONS_KEY)


def _ellipse_outline(corners: Any, n: int = 48) -> Any:
    """(n, D) points of an ellipse napari keeps as the four corners of its box."""
    corners = np.asarray(corners, dtype=np.float64)
    centre = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)[:, None]
    return centre + np.cos(angle) * first + np.sin(angle) * second
