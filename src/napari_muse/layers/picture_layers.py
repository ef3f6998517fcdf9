"""Use image layers of other plugins as slides: list them, and make the chosen one current."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal
from qtpy.QtCore import QTimer

from muse_core.slides import Slide
from muse_core.slides.window import WindowServer
from napari_muse.io.reader import SLIDE_KEY
from napari_muse.jobs.background import Background
from napari_muse.jobs.picture_opener import open_picture
from napari_muse.layers.pictures import (
    Picture,
    can_be_colours,
    colour_layer,
    is_picture,
    layer_mpp,
    obstacle,
    where_it_lies,
)
from napari_muse.layers.slide_guard import PERSONS_KEY
from napari_muse.layers.slide_layers import own_unit, slide_of

if TYPE_CHECKING:
    from napari_muse.session import MuseSession

_LISTED = ("name", "visible", "rotate", "shear", "affine", "scale", "translate", "units")
"""Events of a layer after which it may or may not be chosen any more."""


@dataclass(frozen=True)
class _Place:
    """Position of a layer as a person has set it."""

    scale: tuple[float, ...]
    corner: tuple[float, ...]
    unit: str


class PictureLayers:
    """Lists the pictures of a session's viewer, and makes the chosen one its slide.

    While no slide is open, the topmost picture is chosen automatically. The layer itself is not
    changed or moved; when its data are replaced, it is opened again.
    """

    changed = Signal()
    """What is listed, what is in the way, or what is being opened."""

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self._background = Background()
        self._server = WindowServer()
        self._opening: Any = None
        self._wanted: Picture | None = None
        self._is_chosen = False
        self._failures: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._places: WeakKeyDictionary[Any, _Place] = WeakKeyDictionary()
        self._placing = False
        layers = session.viewer.layers
        layers.events.inserted.connect(self._on_inserted)
        layers.events.removed.connect(self._on_removed)
        layers.events.reordered.connect(self._say_changed)
        for layer in layers:
            self._follow(layer)
        self._choose_first()

    @property
    def listed(self) -> list[Any]:
        """Layers a person may want to choose, the topmost first."""
        return [layer for layer in reversed(self._session.viewer.layers) if is_picture(layer)]

    @property
    def opening(self) -> Any:
        """The layer that is being opened, or None."""
        return self._opening

    def obstacle(self, layer: Any) -> str:
        """Return why a layer cannot be chosen, one sentence; "" where it can."""
        if slide_of(layer) is not None:
            return ""
        return obstacle(layer) or self._failures.get(layer, "")

    def sentence(self) -> str:
        """Return the sentence for the user while no slide is open."""
        if self._opening is not None:
            return f"Looking at “{self._opening.name}” …"
        if any(not self.obstacle(layer) for layer in self.listed):
            return "Choose above which image is the slide."
        return self.obstacle(self.listed[0]) if self.listed else "Open a slide to begin."

    def choose(self, layer: Any) -> None:
        """Make a layer's picture the current slide, in the background; the session shows errors."""
        self._failures.pop(layer, None)
        if slide_of(layer) is not None:
            self._session.adopt(layer)
            return
        reason = obstacle(layer)
        if reason:
            self._session.refused.emit(reason)
            return
        self._open(layer, is_chosen=True)

    def can_be_colours(self, layer: Any) -> bool:
        """Whether a layer may be used as RGB; see :meth:`use_as_colours`."""
        return can_be_colours(layer)

    def use_as_colours(self, layer: Any) -> None:
        """Add a layer that shows grey planes as RGB colours, and choose it."""
        data, settings = colour_layer(layer)
        layer.visible = False
        added = self._session.viewer.add_image(data, **settings)
        if self._opening is not added:
            self.choose(added)

    def close(self) -> None:
        """Stop serving images to jobs."""
        self._background.close()
        self._server.close()

    def _open(self, layer: Any, is_chosen: bool = False) -> None:
        self._opening, self._is_chosen = layer, is_chosen
        picture = self._wanted = Picture.of(layer)
        self.changed.emit()
        self._background.do(
            partial(open_picture, picture, self._server),
            partial(self._take, layer, picture),
            partial(self._fail, layer, picture),
        )

    def _take(self, layer: Any, picture: Picture, slide: Slide) -> None:
        before, session = slide_of(layer), self._session
        is_current = session.slide is None or layer is session.image_layer or self._is_chosen
        if not self._is_wanted(layer, picture) or not (is_current or before):
            # Another slide has been opened meanwhile, or this is not what it was.
            slide.close()
            self.changed.emit()
            return
        layer.metadata[PERSONS_KEY] = True
        self._places[layer] = _place(layer)
        if before is not None and before.key == slide.key:
            # The same picture again; a scale that the user has given is kept.
            slide = slide.with_mpp(before.mpp) if before.mpp else slide
        self._lend(layer, slide)
        if is_current:
            session.adopt(layer)
        notes = list(slide.notes)
        if before is not None and before.key != slide.key:
            notes.insert(
                0,
                f"“{layer.name}” shows another picture now; the nuclei of the one before are kept"
                " and come back with it.",
            )
        if notes:
            session.told.emit(" ".join(notes))
        self._choose_first()

    def _lend(self, layer: Any, slide: Slide) -> None:
        layer.metadata[SLIDE_KEY] = slide
        if not slide.is_file:
            self._server.lend(slide)

    def _fail(self, layer: Any, picture: Picture, sentence: str) -> None:
        if not self._is_wanted(layer, picture):
            return
        self._failures[layer] = sentence
        if layer.metadata.pop(SLIDE_KEY, None) is not None:
            self._session.let_go(layer)
        self._session.refused.emit(sentence)
        self._choose_first()

    def _is_wanted(self, layer: Any, picture: Picture) -> bool:
        """Whether the layer exists and still shows this picture; ends the opening."""
        if picture is not self._wanted:
            return False
        self._opening = self._wanted = None
        if layer in self._session.viewer.layers:
            return True
        self._choose_first()
        return False

    def _choose_first(self) -> None:
        """Choose the topmost visible picture, while no slide is open and none has been chosen."""
        if self._session.slide is None and self._opening is None:
            new = (x for x in self.listed if x.visible and slide_of(x) is None)
            first = next((x for x in new if not self.obstacle(x)), None)
            if first is not None:
                self._open(first)
                return
        self.changed.emit()

    def _follow(self, layer: Any) -> None:
        if not is_picture(layer):
            return
        layer.events.data.connect(self._on_data)
        for name in _LISTED:
            getattr(layer.events, name).connect(self._on_moved)

    def _on_inserted(self, event: Any) -> None:
        self._follow(event.value)
        self._choose_first()

    def _on_removed(self, event: Any) -> None:
        # Another slide may become the current one within the same event.
        QTimer.singleShot(0, self._choose_first)

    def _say_changed(self) -> None:
        self.changed.emit()

    def _on_data(self, event: Any) -> None:
        layer = event.source
        self._failures.pop(layer, None)
        if layer.metadata.get(PERSONS_KEY) or self._opening is layer:
            reason = obstacle(layer)
            if reason:
                self._fail_at_once(layer, reason)
            else:
                self._open(layer)
            return
        self._choose_first()

    def _fail_at_once(self, layer: Any, reason: str) -> None:
        if self._opening is layer:
            self._opening = self._wanted = None
        if layer.metadata.pop(SLIDE_KEY, None) is not None:
            self._session.let_go(layer)
        self._session.refused.emit(reason)
        self._choose_first()

    def _on_moved(self, event: Any) -> None:
        """A layer has been renamed, moved or scaled."""
        layer, slide = event.source, slide_of(event.source)
        if self._placing or layer not in self._session.viewer.layers:
            return
        if slide is None or not layer.metadata.get(PERSONS_KEY):
            self._choose_first()
            return
        now = _place(layer)
        before = self._places.get(layer, now)
        if now == before:
            self.changed.emit()
            return
        reason = where_it_lies(layer)
        if reason:
            self._put_back(layer, before)
            self._session.refused.emit(f"{reason} It was put back.")
            return
        self._places[layer] = now
        self._rescale(layer, slide)

    def _put_back(self, layer: Any, place: _Place) -> None:
        self._placing = True
        try:
            layer.scale, layer.translate = place.scale, place.corner
        finally:
            self._placing = False

    def _rescale(self, layer: Any, slide: Slide) -> None:
        """Follow a layer that was moved or scaled; a scale in a unit of length sets the MPP."""
        mpp, note = layer_mpp(layer)
        if not slide.is_file and mpp != slide.source.mpp and mpp is not None:
            self._lend(layer, Slide(replace(slide.source, mpp=mpp, mpp_note=note)))
        if layer is self._session.image_layer:
            self._session.lay_anew()


def _place(layer: Any) -> _Place:
    scale, corner = (tuple(float(v) for v in where) for where in (layer.scale, layer.translate))
    return _Place(scale, corner, own_unit(layer))
