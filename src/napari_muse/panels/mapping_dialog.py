"""Dialog to map a model's classes to the slide's."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtWidgets import QDialogButtonBox, QWidget

from napari_muse.panels import forms
from napari_muse.panels.page import UpDownArea
from napari_muse.panels.slide_dialog import SlideDialog
from napari_muse.plain_text import as_it_is
from napari_muse.session import MuseSession


class MappingDialog(SlideDialog):
    """Dialog that maps each class of a model to one of the slide.

    Attributes:
        choices: The list of the slide's classes for each of the model's.
    """

    def __init__(
        self,
        session: MuseSession,
        model: str,
        theirs: Sequence[str],
        ours: Sequence[str],
        parent: QWidget | None = None,
    ) -> None:
        """Build the form.

        Args:
            session: Shows the slide.
            model: Name of the model.
            theirs: Its classes.
            ours: Classes of the slide.
            parent: Window it belongs to.
        """
        super().__init__(session, "Classes", parent)
        form = forms.form_layout()
        self.choices: dict[str, forms.Choice] = {}
        for name in theirs:
            new = [] if name in ours else [(f"new class “{name}”", name)]
            tooltip = as_it_is(f"What {model} calls {name} becomes this class")
            choice = forms.Choice(tooltip, *((own, own) for own in ours), *new)
            choice.choose(name)
            form.addRow(forms.wrapped(name), choice)
            self.choices[name] = choice
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        question = f"{model} has other classes than this slide. What does each of them become?"
        content = QWidget()
        forms.column(content, forms.wrapped(question), form)
        # Many classes, and long names, must not drive the buttons off the screen.
        forms.column(self, UpDownArea(content), self.buttons)

    @property
    def mapping(self) -> dict[str, str]:
        """Map from the model's classes to the slide's."""
        return {name: choice.currentData() for name, choice in self.choices.items()}
