"""Question which scale to use if a typed one differs from the file's."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QWidget

from muse_core.slides import Slide
from napari_muse.jobs.detect_choices import scale_question
from napari_muse.panels import forms


class ScaleQuestion(QWidget):
    """A sentence and two buttons in the panel, hidden until needed and not modal.

    Args:
        use: Called with the slide and the typed scale when the user wants it.
        keep: Called when the user wants the scale that the slide has.
    """

    def __init__(self, use: Callable[[Slide, float], None], keep: Callable[[], None]) -> None:
        super().__init__()
        self._use, self._keep = use, keep
        self._asked: tuple[Slide, float] | None = None
        self.sentence = forms.wrapped("")
        self.use = forms.push_button("", "Take the scale that was typed", self._on_use)
        self.keep = forms.push_button("", "Take the scale that the image states", self._on_keep)
        whole = forms.column(self, self.sentence, forms.row(self.use, self.keep))
        whole.setContentsMargins(0, 0, 0, 0)
        self.setFocusProxy(self.keep)
        self.hide()

    @property
    def open(self) -> bool:
        """Whether an answer is awaited."""
        return not self.isHidden()

    def ask(self, slide: Slide, mpp: float) -> None:
        """Ask whether a scale is to be used in place of the one the slide's file states."""
        self._asked = slide, mpp
        self.sentence.setText(scale_question(slide, mpp))
        self.use.setText(f"Use {mpp:g}")
        self.keep.setText(f"Keep {slide.require_mpp():g}")
        self.show()

    def _on_use(self) -> None:
        self.hide()
        if self._asked is not None:
            self._use(*self._asked)

    def _on_keep(self) -> None:
        self.hide()
        self._keep()
