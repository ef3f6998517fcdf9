"""Selecting many nuclei by drawing around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from muse_core.errors import UserError
from napari_muse.layers.drawn_areas import REGIONS_KEY, layer_polygons
from napari_muse.layers.slide_guard import FIXED_KEY

if TYPE_CHECKING:
    from napari_muse.session import MuseSession

_COLOR = "#ffd400"
_EDGE_PX = 3.0


class Lasso:
    """Select nuclei by an outline drawn by hand, which is removed afterwards."""

    changed = Signal()

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self._layer: Any = None
        self._on = False

    @property
    def on(self) -> bool:
        """Whether the next drag draws an outline."""
        return self._on

    def close(self) -> None:
        """Take the layer down."""
        self._session.drop(self._layer)

    def toggle(self) -> None:
        """Take the lasso up, or put it down; raises UserError where no slide is open."""
        if self._on:
            self.put_down()
            return
        self._session.require_slide()
        self._session.nuclei.show()
        layer = self._lasso_layer()
        layer.data = []
        layer.visible = True
        self._session.viewer.layers.selection.active = layer
        layer.mode = "add_polygon_lasso"
        self._on = True
        self.changed.emit()

    def _lasso_layer(self) -> Any:
        viewer = self._session.viewer
        if self._layer is None or self._layer not in viewer.layers:
            self._layer = viewer.add_shapes(
                name="Lasso",
                edge_color=_COLOR,
                face_color="transparent",
                edge_width=_EDGE_PX,
                metadata={REGIONS_KEY: True, FIXED_KEY: True},
                **self._session.placement.settings,
            )
            self._layer.events.data.connect(self._on_data)
        self._session.placement.apply(self._layer)
        return self._layer

    def _on_data(self, event: Any) -> None:
        # The outline is complete only when napari has finished with the mouse.
        if self._on and str(getattr(event, "action", "")) == "added":
            QTimer.singleShot(0, self._catch)

    def _catch(self) -> None:
        if not self._on or not len(self._layer.data):
            return
        nuclei, annotations = self._session.nuclei, self._session.annotations
        wanted = nuclei.wanted()
        inside = np.zeros(len(wanted), dtype=bool)
        try:
            for polygon in layer_polygons(self._layer, self._session.placement):
                inside |= polygon.contains(annotations.rows["x"], annotations.rows["y"])
        except UserError as error:
            # A click, or a line without width.
            self._session.refused.emit(str(error))
        self.put_down()
        nuclei.select(annotations.rows["id"][inside & wanted])

    def put_down(self) -> None:
        """Put the lasso down, with what is drawn; does nothing where it is."""
        if not self._on:
            return
        self._on = False
        self._layer.data = []
        self._layer.mode = "pan_zoom"
        self._layer.visible = False
        self._session.viewer.layers.selection.active = self._session.nuclei.layer
        self.changed.emit()
