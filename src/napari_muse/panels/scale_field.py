"""The field for a slide's scale, with a hint and a question if the file states another."""

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
    """Gives the current slide the typed scale.

    Attributes:
        hint: Hint while the scale is unknown, to be placed below the field.
        question: Question which of two scales to use, to be placed below the hint.
    """

    def __init__(
        self, session: MuseSession, field: NumberField, say: Callable[[str], None]
    ) -> None:
        """Follow a field.

        Args:
            session: Session with the current slide.
            field: Input field of the scale.
            say: Shows the user a sentence.
        """
        self._session, self._field, self._say = session, field, say
        self.hint = forms.wrapped("")
        self.question = ScaleQuestion(self._use, self._show)
        field.entered.connect(self._on_entered)

    def show_slide(self) -> None:
        """Show the scale of the current slide, after the slide or its scale has changed."""
        slide = self._session.slide
        hint = scale_hint(slide)
        self.hint.setVisible(bool(hint))
        self.hint.setText(hint)
        self.question.hide()
        self._field.setEnabled(slide is not None)
        self._show()

    def settled(self) -> bool:
        """Whether the scale is known and no question is open; else shows what is missing."""
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
