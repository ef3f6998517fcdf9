"""Choice of image and plane in files that have several."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from muse_core.slides import ImageChoice, Slide
from napari_muse.io.reader import open_for_window
from napari_muse.jobs.background import Background
from napari_muse.layers.other_image import hint_of, labelled_images, replace_slide
from napari_muse.panels.forms import Following, combo, fill_choice, form_layout, wrapped
from napari_muse.session import MuseSession

_MOST_LISTED = 10_000


class ImagePanel(Following, QWidget):
    """Two choices, hidden for files with one image in one plane.

    A file is opened beside the interface. The nuclei of each image and plane are kept apart.
    """

    def __init__(self, session: MuseSession) -> None:
        super().__init__()
        self._session = session
        self._background = Background()
        self.hint = wrapped("")
        self.image = combo("Which of the images in this file is looked at")
        self.plane = combo("Which plane of the stack is looked at")
        self._form = form_layout(self)
        self._form.addRow(self.hint)
        self._form.addRow("Image", self.image)
        self._form.addRow("Plane", self.plane)
        self.image.activated.connect(self._on_image)
        self.plane.activated.connect(self._on_plane)
        self.follow((session.slide_changed, self._on_slide))
        self._on_slide()

    @property
    def busy(self) -> bool:
        """Whether an image is being opened."""
        return self._background.busy

    def disconnect_all(self) -> None:
        """Stop following the session."""
        super().disconnect_all()
        self._background.close()

    def _on_slide(self) -> None:
        slide = self._session.slide
        images = slide.n_images if slide else 1
        planes = slide.image.planes if slide else 1
        self.setVisible(images > 1 or planes > 1)
        self._form.setRowVisible(self.image, images > 1)
        self._form.setRowVisible(self.plane, planes > 1)
        if slide is None:
            return
        self.hint.setText(hint_of(slide))
        fill_choice(self.image, labelled_images(slide), slide.image.number or 1)
        numbers = range(1, min(planes, _MOST_LISTED) + 1)
        fill_choice(self.plane, [(f"{n} of {planes}", n) for n in numbers], slide.plane)
        self._enable(True)

    def _on_image(self) -> None:
        slide = self._session.slide
        number = int(self.image.currentData())
        if slide is not None and number != slide.image.number:
            self._open(slide, ImageChoice(number, None, slide.choice.channels))

    def _on_plane(self) -> None:
        slide = self._session.slide
        number = int(self.plane.currentData())
        if slide is not None and number != slide.plane:
            self._open(slide, ImageChoice(slide.choice.image, number, slide.choice.channels))

    def _open(self, slide: Slide, choice: ImageChoice) -> None:
        self._enable(False)
        self._background.do(
            lambda: open_for_window(slide.path, choice),
            lambda found: self._show(slide, found),
            self._refuse,
        )

    def _show(self, asked_on: Slide, found: Slide) -> None:
        self._enable(True)
        current = self._session.slide
        if current is None or current.key != asked_on.key:
            found.close()  # another slide has been opened meanwhile
            return
        replace_slide(self._session, found)

    def _refuse(self, sentence: str) -> None:
        self._on_slide()
        self._session.refused.emit(sentence)

    def _enable(self, on: bool) -> None:
        for box in (self.image, self.plane):
            box.setEnabled(on)
