"""The store's regions as outlines on the slide, with their counts and areas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QTimer

from muse_core.slides import PolygonRegion
from napari_muse.annotations.coordinates import to_layer
from napari_muse.layers.drawn_areas import REGIONS_KEY
from napari_muse.layers.slide_guard import FIXED_KEY

if TYPE_CHECKING:
    from napari_muse.annotations.slide_annotations import SlideAnnotations
    from napari_muse.session import MuseSession

_REVIEWED_COLOR = "#3fb950"
_OPEN_COLOR = "#58a6ff"
_EDGE_PX = 5.0
_UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class RegionFigures:
    """A region and what is in it.

    Attributes:
        id: Number in the store.
        name: What a person calls it.
        polygon: Its outline, level-0 pixels.
        reviewed: Whether all nuclei in it have been looked at.
        counts: (K,) nuclei of each class.
        area_mm2: Area, or None while the slide's MPP is unknown.
    """

    id: int
    name: str
    polygon: PolygonRegion
    reviewed: bool
    counts: npt.NDArray[np.int64]
    area_mm2: float | None

    @property
    def per_mm2(self) -> float | None:
        """Nuclei per mm² of region."""
        return float(self.counts.sum()) / self.area_mm2 if self.area_mm2 else None

    @property
    def figures(self) -> list[str]:
        """Nuclei, their density ("" while it is unknown) and counts by class, for a table."""
        density = "" if self.per_mm2 is None else f"{self.per_mm2:,.0f}"
        return [f"{self.counts.sum():,}", density, *(f"{n:,}" for n in self.counts)]


def region_polygon(annotations: SlideAnnotations, number: int) -> PolygonRegion:
    """The outline of a region by its number in the store."""
    regions = annotations.regions()
    return _polygon(regions["vertices"][regions["id"] == number].iloc[0])


def region_figures(session: MuseSession) -> list[RegionFigures]:
    """All regions of the current slide with their counts."""
    annotations, mpp = session.annotations, session.mpp
    found = []
    for number, name, vertices, reviewed in annotations.regions().itertuples(
        index=False, name=None
    ):
        polygon = _polygon(vertices)
        near = np.flatnonzero(annotations.inside(polygon.bounds))
        inside = near[polygon.contains(annotations.rows["x"][near], annotations.rows["y"][near])]
        area = polygon.area_px * mpp**2 / _UM2_PER_MM2 if mpp else None
        found.append(
            RegionFigures(number, name, polygon, reviewed, annotations.counts_of(inside), area)
        )
    return found


def _polygon(vertices: Iterable[tuple[float, float]]) -> PolygonRegion:
    return PolygonRegion(tuple((float(x), float(y)) for x, y in vertices))


class RegionLayer:
    """Shows the regions; they are changed in the panel and not on the canvas."""

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self.layer: Any = None
        session.slide_changed.connect(self.refresh)
        session.regions_changed.connect(self.refresh)
        session.viewer.layers.events.removed.connect(self._on_removed)
        self.refresh()

    def close(self) -> None:
        """Stop following the session, and remove the layer, which would no longer be updated."""
        self._session.slide_changed.disconnect(self.refresh)
        self._session.regions_changed.disconnect(self.refresh)
        self._session.viewer.layers.events.removed.disconnect(self._on_removed)
        self._session.drop(self.layer)

    def refresh(self) -> None:
        """Draw the regions of the current slide."""
        regions = self._session.annotations.regions()
        if regions.empty and self.layer is None:
            return
        layer = self._existing_layer()
        layer.data = []
        self._session.placement.apply(layer)
        if not regions.empty:
            outlines = [to_layer(*np.array(v, dtype=float).T) for v in regions["vertices"]]
            colors = [_REVIEWED_COLOR if r else _OPEN_COLOR for r in regions["reviewed"]]
            layer.add_polygons(
                outlines, edge_color=colors, face_color="transparent", edge_width=_EDGE_PX
            )

    def _keep_from_edits(self) -> None:
        self.layer.editable = False

    def _on_removed(self, event: Any) -> None:
        """Restore the layer after it was deleted; it can only be hidden."""
        if event.value is self.layer and self._session.slide is not None:
            QTimer.singleShot(0, self._restore)

    def _restore(self) -> None:
        if self._session.slide is not None and self.layer not in self._session.viewer.layers:
            self.refresh()

    def _existing_layer(self) -> Any:
        viewer = self._session.viewer
        if self.layer is None or self.layer not in viewer.layers:
            active = viewer.layers.selection.active
            self.layer = viewer.add_shapes(
                name="Regions",
                metadata={REGIONS_KEY: True, FIXED_KEY: True},
                **self._session.placement.settings,
            )
            # napari makes it editable again, as when three dimensions become two.
            self.layer.events.editable.connect(self._keep_from_edits)
            self._keep_from_edits()
            at = len(viewer.layers) - 1
            viewer.layers.move(at, max(at - 1, 0))
            viewer.layers.selection.active = active
        return self.layer
