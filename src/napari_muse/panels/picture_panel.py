"""Choice of the window's image that is the slide, where there are several."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

from napari_muse.panels.forms import Following, combo, form_layout, push_button
from napari_muse.session import MuseSession


class PicturePanel(Following, QWidget):
    """A choice of layers, hidden while the only image of the window is the slide.

    What cannot be chosen is listed too: choosing it says why.
    """

    def __init__(self, session: MuseSession) -> None:
        super().__init__()
        self._session = session
        self._pictures = session.pictures
        self._layers: list[Any] = []
        self._asked: Any = None
        self.layer = combo("Which image of the window MUSE works on")
        self.layer.setPlaceholderText("choose an image")
        self.as_colours = push_button(
            "Use as RGB",
            "Add a layer that shows the planes as red, green and blue",
            self._on_colours,
        )
        form = form_layout(self)
        form.addRow("Slide", self.layer)
        form.addRow(self.as_colours)
        self.layer.activated.connect(self._on_chosen)
        self.follow((session.slide_changed, self._on_slide), (self._pictures.changed, self.refresh))
        self.refresh()

    def refresh(self) -> None:
        """List what there is, with what is looked at or was asked for."""
        listed, current = self._pictures.listed, self._session.image_layer
        if not any(self._asked is layer for layer in listed):
            self._asked = None
        names = [layer.name for layer in listed]
        if [self.layer.itemText(i) for i in range(self.layer.count())] != names:
            self.layer.clear()
            self.layer.addItems(names)
        self._layers = listed
        shown = self._asked or self._pictures.opening or current
        self.layer.setCurrentIndex(next((i for i, x in enumerate(listed) if x is shown), -1))
        subject = self._subject()
        planes = subject is not None and self._pictures.can_be_colours(subject)
        self.as_colours.setVisible(planes)
        self.setVisible(bool(listed) and not (len(listed) == 1 and listed[0] is current))

    def _subject(self) -> Any:
        """The layer that a person has asked for in vain; without a slide the topmost one."""
        if self._asked is None and self._session.slide is None and self._layers:
            return self._layers[0]
        return self._asked

    def _on_chosen(self, index: int) -> None:
        layer = self._layers[index]
        self._asked = layer if self._pictures.obstacle(layer) else None
        self._pictures.choose(layer)
        self.refresh()

    def _on_colours(self) -> None:
        layer, self._asked = self._subject(), None
        if layer is not None:
            self._pictures.use_as_colours(layer)

    def _on_slide(self) -> None:
        self._asked = None
        self.refresh()
