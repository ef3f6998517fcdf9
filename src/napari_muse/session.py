"""MuseSession: what ties viewer, slide, nuclei and model together. No widgets here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, write_csv
from muse_core.slides import PolygonRegion, Region, Slide
from napari_muse.book import NucleusBook
from napari_muse.coordinates import from_world
from napari_muse.layer import NucleusLayer
from napari_muse.reader import SLIDE_KEY, TABLE_KEY, spatial_settings

if TYPE_CHECKING:
    from napari.components import ViewerModel

_NO_CLASSES = ClassScheme.from_names(["nucleus"])


class MuseSession:
    """The state behind the MUSE panel of one viewer.

    Each slide keeps its nuclei while the window is open; the current slide is the one whose image
    layer was added or made active last.
    """

    slide_changed = Signal()
    book_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.slide: Slide | None = None
        self.image_layer: Any = None
        self._books: dict[Path, NucleusBook] = {}
        self.book = NucleusBook(_NO_CLASSES)
        self.nuclei = NucleusLayer(viewer, self.book)
        self.book.changed.connect(self.book_changed.emit)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.selection.events.active.connect(self._on_active)
        for layer in list(viewer.layers):
            self._adopt(layer)

    def close(self) -> None:
        """Stop following the viewer."""
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)
        self.viewer.layers.selection.events.active.disconnect(self._on_active)
        self.nuclei.close()

    @property
    def mpp(self) -> float | None:
        """Microns per level-0 pixel of the current slide."""
        return self.slide.mpp if self.slide else None

    def set_mpp(self, mpp: float) -> None:
        """Say how large a pixel of the current slide is; its layers are rescaled.

        Raises:
            UserError: No slide is open, or the value is not plausible.
        """
        slide = self.require_slide().with_mpp(mpp)
        self.image_layer.metadata[SLIDE_KEY] = slide
        settings = spatial_settings(slide.mpp)
        self.image_layer.scale = settings["scale"]
        self.image_layer.units = settings["units"]
        self._use(slide, self.image_layer)
        self.viewer.reset_view()

    def require_slide(self) -> Slide:
        """The current slide; raises UserError when none is open."""
        if self.slide is None:
            raise UserError("Open a slide first: File > Open, or drop it on the window.")
        return self.slide

    def visible_region(self) -> Region:
        """The part of the slide on screen, level-0 pixels.

        Raises:
            UserError: No slide is open, or it is out of view.
        """
        slide = self.require_slide()
        seen = self.nuclei.field_of_view().intersect(slide.bounds)
        if seen is None:
            raise UserError("The slide is out of view; press the home button to bring it back.")
        return seen

    def drawn_polygons(self) -> list[PolygonRegion]:
        """All shapes drawn over the slide, level-0 pixels; paths and lines are left out.

        Raises:
            UserError: Nothing is drawn.
        """
        scale = self.mpp or 1.0
        found = []
        for layer in self.viewer.layers:
            if type(layer).__name__ != "Shapes" or not layer.visible:
                continue
            for kind, vertices in zip(layer.shape_type, layer.data, strict=True):
                if kind in ("path", "line"):
                    continue
                outline = _ellipse_outline(vertices) if kind == "ellipse" else vertices
                world = np.array([layer.data_to_world(v) for v in outline])
                x, y = from_world(world, scale)
                found.append(PolygonRegion(tuple(zip(x.tolist(), y.tolist(), strict=True))))
        if not found:
            raise UserError("Nothing is drawn yet: press “Draw area” and draw around the tissue.")
        return found

    def export_csv(self, path: str | Path) -> int:
        """Write all nuclei of the current slide; returns how many.

        Raises:
            UserError: There is no slide, no MPP, or the file cannot be written.
        """
        mpp = self.require_slide().require_mpp()
        table = self.book.to_table()
        write_csv(table, path, mpp)
        return len(table)

    def _on_inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _on_active(self, event: Any) -> None:
        layer = event.value
        if layer is not None and layer is not self.image_layer:
            self._adopt(layer)

    def _adopt(self, layer: Any) -> None:
        slide = layer.metadata.get(SLIDE_KEY)
        if isinstance(slide, Slide):
            self._use(slide, layer)
        elif layer is not self.nuclei.layer and TABLE_KEY in layer.metadata:
            table = layer.metadata.pop(TABLE_KEY)
            layer.visible = False
            self.book.load(table)

    def _use(self, slide: Slide, layer: Any) -> None:
        self.slide, self.image_layer = slide, layer
        self.book.changed.disconnect(self.book_changed.emit)
        self.book = self._books.setdefault(slide.path, NucleusBook(_NO_CLASSES))
        self.book.changed.connect(self.book_changed.emit)
        self.nuclei.show_book(self.book, slide.mpp)
        self._raise_nuclei()
        self.viewer.canvas.overlays.scale_bar.visible = True
        self.slide_changed.emit()
        self.book_changed.emit()

    def _raise_nuclei(self) -> None:
        layers = self.viewer.layers
        index = layers.index(self.nuclei.layer)
        if index != len(layers) - 1:
            layers.move(index, len(layers))


def _ellipse_outline(corners: Any, n: int = 48) -> Any:
    """(n, D) points of an ellipse napari keeps as the four corners of its box."""
    corners = np.asarray(corners, dtype=np.float64)
    centre = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)[:, None]
    return centre + np.cos(angle) * first + np.sin(angle) * second
