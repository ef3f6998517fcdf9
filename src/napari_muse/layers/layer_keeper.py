"""Guard MUSE's layers in napari's list: no copies, no accidental removal, nuclei on top."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_muse.io.reader import SOURCE_KEY
from napari_muse.layers.slide_guard import FIXED_KEY
from napari_muse.layers.slide_layers import raise_overlays, slide_of
from napari_muse.napari_compat import unlink

if TYPE_CHECKING:
    from napari_muse.session import MuseSession

_COVERED = "The slide lay over its nuclei; they are on top of it again."
_COPIED = (
    "The nuclei are one layer, which follows the slide; its copy was taken away. “Save nuclei …”"
    " makes a copy."
)
_HELP = "1 to 9 class, Space confirm, A add, P paint, L lasso, R reviewed"
"""Help in napari's status bar, in place of napari's own keys, which MUSE overrides."""


class LayerKeeper:
    """Watches the list of layers of a session's viewer."""

    def __init__(self, session: MuseSession, say: Callable[[str], None]) -> None:
        """Watch.

        Args:
            session: Whose layers; its nuclei have their layer already.
            say: Called with a sentence for the user.
        """
        self._session = session
        self._say = say
        layers = session.viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.reordered.connect(self._on_reordered)
        # napari has no event for linked layers; linking changes the selection.
        layers.selection.events.changed.connect(self._on_links)
        # The layer of a person's image has become a slide.
        session.slide_changed.connect(lambda: self.keep(session.image_layer))
        for layer in layers:
            self.keep(layer)

    def keep(self, layer: Any) -> None:
        """Guard a layer, if there is one and it is MUSE's."""
        if layer is None or not self._session.owns(layer):
            return
        if slide_of(layer) is None:
            # Against Delete, the bin, and menus that turn a layer into others.
            layer.locked = True
        layer.help = _HELP
        layer.events.help.connect(self._on_help)

    def _on_inserted(self, event: Any) -> None:
        layer, nuclei = event.value, self._session.nuclei.layer
        if SOURCE_KEY in layer.metadata and layer is not nuclei:
            QTimer.singleShot(0, lambda: self._take_away(layer))
            return
        self.keep(layer)

    def _take_away(self, copy: Any) -> None:
        self._session.drop(copy)
        self._say(_COPIED)

    def _on_help(self, event: Any) -> None:
        if self._session.owns(event.source):
            event.source.help = _HELP

    def _on_links(self) -> None:
        """Part MUSE's layers from others: of two slides that are linked neither is shown alone."""
        session = self._session
        linked = [x for x in session.viewer.layers if session.owns(x) and unlink(x)]
        if linked and session.slide is not None:
            self._say(f"Layer {linked[0].name} is MUSE's and is linked with no other.")

    def _on_reordered(self) -> None:
        if self._covered():
            # Later, when the list has finished the move.
            QTimer.singleShot(0, self._uncover)

    def _uncover(self) -> None:
        if not self._covered():
            return
        session = self._session
        raise_overlays(session.viewer, session.image_layer, session.nuclei.layer)
        self._say(_COVERED)

    def _covered(self) -> bool:
        """Whether the slide covers something that MUSE draws on it."""
        session, layers = self._session, self._session.viewer.layers
        image = session.image_layer
        if session.slide is None or image not in layers:
            return False
        below = list(layers)[: layers.index(image)]
        return any(x is session.nuclei.layer or x.metadata.get(FIXED_KEY) for x in below)
