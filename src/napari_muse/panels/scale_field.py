"""The field of a slide's scale: what is typed, what is said of it, and which scale holds."""

from __future__ import annotations

from collections.abc import Callable

from muse_core.errors import UserError
from muse_core.slides import Slide
from napari_muse.jobs.detect_choices import force_scale, scale_hint, set_typed_scale
from napari_muse.panels import forms
from napari_muse.panels.number_field import NumberField
from napari_muse.panels.scale_question import ScaleQuestion
from napari_muse.session import MuseSession


class ScaleField:
    """Gives the current slide the scale that is typed.

    Attributes:
        hint: What to say while the scale is unknown, to be put below the field.
        question: Which of two scales holds, to be put below that.
    """

    def __init__(
        self, session: MuseSession, field: NumberField, say: Callable[[str], None]
    ) -> None:
        """Follow a field.

        Args:
            session: Whose slide is meant.
            field: What the scale is typed in.
            say: Shows the user a sentence.
        """
        self._session, self._field, self._say = session, field, say
        self.hint = forms.wrapped("")
        self.question = ScaleQuestion(self._use, self._show)
        field.entered.connect(self._on_entered)

    def show_slide(self) -> None:
        """Show the scale of the current slide, which is another one or has another scale."""
        slide = self._session.slide
        hint = scale_hint(slide)
        self.hint.setVisible(bool(hint))
        self.hint.setText(hint)
        self.question.hide()
        self._field.setEnabled(slide is not None)
        self._show()

    def settled(self) -> bool:
        """Whether it is clear which scale holds; else what is missing is said, and asked for."""
        if self.question.open:
            self._say("Answer first which scale holds.")
            self.question.setFocus()
            return False
        if self._session.slide is not None and self._session.mpp is None:
            self._say("Enter the microns per pixel first.")
            self._field.setFocus()
            self._field.selectAll()
            return False
        return True

    def _on_entered(self, value: float) -> None:
        try:
            if not set_typed_scale(self._session, value):
                self.question.ask(self._session.require_slide(), value)
        except UserError as error:
            self._show()
            self._say(str(error))

    def _use(self, slide: Slide, value: float) -> None:
        self._session.attempt(lambda: force_scale(self._session, slide, value))
        self._show()

    def _show(self) -> None:
        self._field.show_value(self._session.mpp or 0.0)
