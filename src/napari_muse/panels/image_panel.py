"""Panel to choose the image and plane of a file that has several."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_muse.interaction.following import Following
from napari_muse.io.image_opening import ImageOpening
from napari_muse.layers.other_image import hint_of, labelled_images
from napari_muse.panels import forms
from napari_muse.session import MuseSession

_MOST_LISTED = 10_000


class ImagePanel(Following, QWidget):
    """Two choices, hidden for files with one image in one plane.

    Images are opened in the background. Each image and plane has its own nuclei.
    """

    def __init__(self, session: MuseSession) -> None:
        super().__init__()
        self._session = session
        self._opening = ImageOpening(session)
        self.hint = forms.wrapped("")
        self.image = forms.Choice("Which of the images in this file is looked at")
        self.plane = forms.Choice("Which plane of the stack is looked at")
        choices = (("Image", self.image), ("Plane", self.plane))
        self._form = forms.form_layout(self.hint, *choices)
        forms.within(self._form, self)
        self.image.activated.connect(lambda: self._opening.show_image(self.image.currentData()))
        self.plane.activated.connect(lambda: self._opening.show_plane(self.plane.currentData()))
        self.follow(self._on_begin, self._opening.began)
        self.follow(self._on_end, self._opening.ended)
        self.in_the_end(self._opening.close)
        self.follow_now(self._on_slide, session.slide_changed)

    @property
    def busy(self) -> bool:
        """Whether an image is being opened."""
        return self._opening.busy

    def _on_slide(self) -> None:
        slide = self._session.slide
        images = slide.n_images if slide else 1
        planes = slide.image.planes if slide else 1
        self.setVisible(images > 1 or planes > 1)
        self._form.setRowVisible(self.image, images > 1)
        self._form.setRowVisible(self.plane, planes > 1)
        if slide is not None:
            self.hint.setText(hint_of(slide))
            self.image.offer(labelled_images(slide), slide.image.number or 1)
            numbers = range(1, min(planes, _MOST_LISTED) + 1)
            self.plane.offer(((f"{n} of {planes}", n) for n in numbers), slide.plane)
            self._enable(True)

    def _on_begin(self) -> None:
        self._enable(False)

    def _on_end(self, refusal: str) -> None:
        self._enable(True)
        if refusal:
            self._on_slide()
            self._session.refused.emit(refusal)

    def _enable(self, on: bool) -> None:
        self.image.setEnabled(on)
        self.plane.setEnabled(on)
