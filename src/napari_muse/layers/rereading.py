"""Report that a slide's file cannot be read, and read it again until it can."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from qtpy.QtCore import QTimer

from muse_core.errors import UserError
from napari_muse.napari_compat import around_slicing

if TYPE_CHECKING:
    from napari.components import ViewerModel

_AGAIN_MS = 3000


class Rereading:
    """Watches the layers of slides; what was drawn last stays while a file cannot be read."""

    def __init__(self, viewer: ViewerModel, say: Callable[[str], None]) -> None:
        """Watch nothing yet.

        Args:
            viewer: Whose layers.
            say: Called with a sentence for the user, once for each reason.
        """
        self._viewer = viewer
        self._say = say
        self._refusals: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._timer = QTimer()
        self._timer.setInterval(_AGAIN_MS)
        self._timer.timeout.connect(self._again)

    def watch(self, layer: Any) -> None:
        """Watch the layer of a slide."""
        around_slicing(layer, partial(self._read, ref(layer)))

    def refusal(self, layer: Any) -> str:
        """Why a layer's file could not be read the last time, a sentence, or ""."""
        return self._refusals.get(layer, "")

    def _read(self, watched: ref[Any], read: Callable[[], None]) -> None:
        layer: Any = watched()
        try:
            read()
        except UserError as error:
            before, self._refusals[layer] = self.refusal(layer), str(error)
            self._timer.start()
            if before != str(error):
                self._say(str(error))
        else:
            if self._refusals.pop(layer, ""):
                self._say(f"{layer.name} can be read again.")

    def _again(self) -> None:
        failed = [x for x in self._viewer.layers if self.refusal(x) and x.visible]
        for layer in failed:
            layer.refresh()
        if not failed:
            self._timer.stop()
