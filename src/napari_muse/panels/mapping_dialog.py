"""Dialog to map a model's classes to the slide's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QWidget

from napari_muse.panels import forms
from napari_muse.panels.config_form import choice_field
from napari_muse.plain_text import as_it_is


class MappingDialog(QDialog):
    """Dialog that maps each class of a model to one of the slide."""

    def __init__(
        self,
        model: str,
        theirs: Sequence[str],
        ours: Sequence[str],
        parent: QWidget | None = None,
    ) -> None:
        """Build the form.

        Args:
            model: Name of the model.
            theirs: Its classes.
            ours: Classes of the slide.
            parent: Window it belongs to.
        """
        super().__init__(parent)
        self.setWindowTitle("Classes")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        form = forms.form_layout()
        self._fields: dict[str, ValueWidget[Any]] = {}
        for name in theirs:
            new = [] if name in ours else [(name, f"new class “{name}”", "")]
            choices = [*((own, own, "") for own in ours), *new]
            field = choice_field(choices, as_it_is(f"What {model} calls {name} becomes this class"))
            field.value = name
            form.addRow(forms.wrapped(name), field.native)
            self._fields[name] = field
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        question = f"{model} has other classes than this slide. What does each of them become?"
        forms.column(self, forms.wrapped(question), form, self.buttons)

    @property
    def mapping(self) -> dict[str, str]:
        """Map from the model's classes to the slide's."""
        return {name: str(field.value) for name, field in self._fields.items()}

    @property
    def choices(self) -> dict[str, QComboBox]:
        """The list for each of the model's classes."""
        return {name: field.native for name, field in self._fields.items()}
