"""A model's classes and the slide's: which is which."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QVBoxLayout, QWidget

from napari_muse.panels.forms import combo, wrapped


class MappingDialog(QDialog):
    """Asks for each class of a model what it is called on this slide."""

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
        form = QFormLayout()
        self.choices = {}
        for name in theirs:
            box = combo(f"What {model} calls {name} becomes this class")
            for own in ours:
                box.addItem(own, own)
            if name not in ours:
                box.addItem(f"new class “{name}”", name)
            box.setCurrentIndex(box.findData(name))
            form.addRow(name, box)
            self.choices[name] = box
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Ok | kinds.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addWidget(
            wrapped(f"{model} has other classes than this slide. What does each of them become?")
        )
        whole.addLayout(form)
        whole.addWidget(self.buttons)

    @property
    def mapping(self) -> dict[str, str]:
        """The model's classes and what they become."""
        return {name: box.currentData() for name, box in self.choices.items()}
