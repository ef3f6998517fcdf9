"""Keep the slide, and the layers on it, in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from napari.components import ViewerModel

FIXED_KEY = "muse_fixed"
"""Layer metadata: the layer is drawn over the slide by MUSE and cannot be moved."""
AREAS_KEY = "muse_area"
"""Layer metadata: MUSE has made and placed the layer, in which a person draws."""
PERSONS_KEY = "muse_persons"
"""Layer metadata: the slide's layer belongs to the user or another plugin and may be moved."""
_TURNS = ("rotate", "shear", "affine")
_PLACES = ("scale", "translate", *_TURNS)
_STAYS = "The slide stays where it is, for the nuclei lie on it; what moved it was taken back."
_FLAT = "A slide is looked at from above, its layers over each other; that was put back."
LayerPlace = dict[str, Any]


class SlideGuard:
    """Moves layers back that napari's tools, keys or menus have moved, and reports it.

    A slide moved by a drag would no longer match its nuclei, and MUSE's undo would not restore it.
    Transposed axes and layers side by side separate them as well.
    """

    def __init__(self, viewer: ViewerModel, say: Callable[[str], None]) -> None:
        """Watch.

        Args:
            viewer: Whose layers, once they are given to :meth:`keep`.
            say: Called with a sentence for the user.
        """
        self._viewer = viewer
        self._say = say
        self._kept: WeakKeyDictionary[Any, LayerPlace] = WeakKeyDictionary()
        self._placing = False
        self.on = False
        """Whether a slide is open."""
        viewer.dims.events.order.connect(self._on_view)
        viewer.dims.events.ndisplay.connect(self._on_view)
        viewer.canvas.grid.events.enabled.connect(self._on_view)

    def keep(self, layer: Any) -> None:
        """Keep a layer at its present place."""
        known = layer in self._kept
        self._kept[layer] = _place_of(layer)
        if known:
            return
        layer.events.mode.connect(self._on_mode)
        for name in self._kept[layer]:
            getattr(layer.events, name).connect(self._on_moved)

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Context in which MUSE places layers; they are kept at their new places."""
        before, self._placing = self._placing, True
        try:
            yield
        finally:
            self._placing = before
            if not before:
                for layer in list(self._kept):
                    self._kept[layer] = _place_of(layer)

    def _on_moved(self, event: Any) -> None:
        layer = event.source
        if self._placing or not self.on or layer not in self._kept:
            return
        wanted, found = self._kept[layer], _place_of(layer)
        moved = [name for name in wanted if not np.array_equal(wanted[name], found[name])]
        if not moved:
            return
        self._placing = True
        try:
            for name in moved:
                setattr(layer, name, wanted[name])
        finally:
            self._placing = False
        self._say(_STAYS)

    def _on_mode(self, event: Any) -> None:
        layer = event.source
        if self.on and str(layer.mode) == "transform":
            # When napari has finished with the mode it has just set.
            QTimer.singleShot(0, lambda: self._leave_transform(layer))

    def _leave_transform(self, layer: Any) -> None:
        if str(layer.mode) == "transform":
            layer.mode = "pan_zoom"
            self._say(_STAYS)

    def _on_view(self) -> None:
        if self.on and not self._is_flat():
            QTimer.singleShot(0, self.flatten)

    def _is_flat(self) -> bool:
        dims = self._viewer.dims
        in_order = tuple(dims.order[-2:]) == (dims.ndim - 2, dims.ndim - 1)
        return in_order and dims.ndisplay == 2 and not self._viewer.canvas.grid.enabled

    def flatten(self) -> None:
        """Look at the slide from above, its layers over each other, if one is open."""
        if not self.on or self._is_flat():
            return
        dims = self._viewer.dims
        dims.ndisplay = 2
        dims.order = tuple(range(dims.ndim))
        self._viewer.canvas.grid.enabled = False
        self._say(_FLAT)


def _place_of(layer: Any) -> LayerPlace:
    """Return the place of a layer to keep; only the rotation for layers that others may move."""
    moves = layer.metadata.get(FIXED_KEY) or layer.metadata.get(PERSONS_KEY)
    names = _TURNS if moves else _PLACES
    return {name: np.array(getattr(layer, name)) for name in names}
