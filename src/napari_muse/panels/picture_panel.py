"""Panel to choose which image layer of the window is the slide."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

from napari_muse.interaction.following import Following
from napari_muse.panels import forms
from napari_muse.session import MuseSession


class PicturePanel(Following, QWidget):
    """A list of layers, hidden while the only image of the window is the slide.

    Layers that cannot be used are listed too; choosing one says why.
    """

    def __init__(self, session: MuseSession) -> None:
        super().__init__()
        self._session = session
        self._pictures = session.pictures
        self._layers: list[Any] = []
        self._asked: Any = None
        self.layer = forms.Choice("Which image of the window MUSE works on")
        self.layer.setPlaceholderText("choose an image")
        forms.within(forms.form_layout(("Slide", self.layer), self.as_colours), self)
        self.layer.activated.connect(self._on_chosen)
        self.follow(self._on_slide, session.slide_changed)
        self.follow_now(self.refresh, self._pictures.changed)

    @forms.button("Use as RGB")
    def as_colours(self) -> None:
        """Add a layer that shows the planes as red, green and blue."""
        layer, self._asked = self._subject(), None
        if layer is not None:
            self._pictures.use_as_colours(layer)

    def refresh(self) -> None:
        """List the layers, with the current or requested one chosen."""
        listed, current = self._pictures.listed, self._session.image_layer
        if not any(self._asked is layer for layer in listed):
            self._asked = None
        self.layer.offer((layer.name, at) for at, layer in enumerate(listed))
        self._layers = listed
        shown = self._asked or self._pictures.opening or current
        self.layer.setCurrentIndex(next((i for i, x in enumerate(listed) if x is shown), -1))
        subject = self._subject()
        planes = subject is not None and self._pictures.can_be_colours(subject)
        self.as_colours.setVisible(planes)
        self.setVisible(bool(listed) and not (len(listed) == 1 and listed[0] is current))

    def _subject(self) -> Any:
        """The layer that the user has chosen but that cannot be used, else the topmost one."""
        if self._asked is None and self._session.slide is None and self._layers:
            return self._layers[0]
        return self._asked

    def _on_chosen(self, index: int) -> None:
        layer = self._layers[index]
        self._asked = layer if self._pictures.obstacle(layer) else None
        self._pictures.choose(layer)
        self.refresh()

    def _on_slide(self) -> None:
        self._asked = None
        self.refresh()
