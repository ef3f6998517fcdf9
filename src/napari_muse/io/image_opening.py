"""Open another image or plane of the current slide's file in the background."""

from __future__ import annotations

from psygnal import Signal

from muse_core.slides import ImageChoice, Slide
from napari_muse.io.reader import open_for_window
from napari_muse.jobs.background import Background
from napari_muse.layers.other_image import replace_slide
from napari_muse.session import MuseSession


class ImageOpening:
    """Opens one image after the other and shows it in place of the current one.

    Signals:
        began: An image is being opened.
        ended: It is shown, or given up because another slide has been opened meanwhile: "". Or a
            sentence: why it cannot be opened.
    """

    began = Signal()
    ended = Signal(str)

    def __init__(self, session: MuseSession) -> None:
        self._session = session
        self._background = Background()

    @property
    def busy(self) -> bool:
        """Whether an image is being opened."""
        return self._background.busy

    def close(self) -> None:
        """Show nothing any more."""
        self._background.close()

    def show_image(self, number: int) -> None:
        """Show the image of a number, from 1, in its middle plane."""
        slide = self._session.slide
        if slide is not None and number != slide.image.number:
            self._open(slide, ImageChoice(number, None, slide.choice.channels))

    def show_plane(self, number: int) -> None:
        """Show the plane of a number, from 1, of the current image."""
        slide = self._session.slide
        if slide is not None and number != slide.plane:
            self._open(slide, ImageChoice(slide.choice.image, number, slide.choice.channels))

    def _open(self, slide: Slide, choice: ImageChoice) -> None:
        self.began.emit()
        self._background.do(
            lambda: open_for_window(slide.path, choice),
            lambda found: self._show(slide, found),
            self.ended.emit,
        )

    def _show(self, asked_on: Slide, found: Slide) -> None:
        self.ended.emit("")
        current = self._session.slide
        if current is None or current.key != asked_on.key:
            found.close()  # another slide has been opened meanwhile
        else:
            replace_slide(self._session, found)
