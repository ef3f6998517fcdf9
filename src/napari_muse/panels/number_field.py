"""The number field of all panels and dialogs, which accepts the notations of all countries."""

from __future__ import annotations

from typing import cast

from qtpy.QtCore import QEvent, QLocale, Qt, Signal
from qtpy.QtGui import QKeyEvent, QValidator, QWheelEvent
from qtpy.QtWidgets import QDoubleSpinBox, QLineEdit

from muse_core.errors import UserError
from napari_muse.interaction.typed_number import NumberRule

_WRONG = "border: 1px solid #d73a49;"


class NumberField(QDoubleSpinBox):
    """A field that accepts every key, and parses the text when editing is finished.

    Qt's spin boxes ignore keys that are not valid in their locale, so that 0.25 becomes 25 or 2.0
    where the decimal mark is a comma. A text that cannot be parsed, or is out of range, leaves the
    value unchanged; the field is marked and says why. The wheel works only while it has the focus.

    Signals:
        entered: The user has entered another value.
        refused: A sentence on why a typed text is not accepted.
    """

    entered = Signal(float)
    refused = Signal(str)

    def __init__(self, rule: NumberRule, step: float = 1.0) -> None:
        """Make a field.

        Args:
            rule: What it takes.
            step: Of the arrows.
        """
        super().__init__()
        self._rule = rule
        self._typed: str | None = None
        self._given = 0.0
        self.setLocale(QLocale.c())
        self.setDecimals(rule.decimals)
        self.setRange(rule.lowest, rule.most)
        self.setSingleStep(step)
        self.setSuffix(rule.unit)
        self.setSpecialValueText(rule.unset)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._line = cast(QLineEdit, self.lineEdit())
        self._line.textEdited.connect(self._on_typed)
        self.editingFinished.connect(self.commit)
        self.show_value(self.minimum())

    def show_value(self, value: float) -> None:
        """Show a value that was not typed by the user."""
        self._typed = None
        self._mark(False)
        self._given = value
        self.setValue(value)
        # Qt leaves a text alone that means the same value.
        unset = self._rule.unset if value == self.minimum() else ""
        self._line.setText(unset or f"{self.textFromValue(value)}{self.suffix()}")

    def commit(self) -> bool:
        """Accept the typed text; returns False, and says why, if it is not valid."""
        text, self._typed = self._typed, None
        if text is None:
            if self.value() != self._given:  # By the arrows or the wheel.
                self._take(self.value())
            return True
        try:
            value = self._rule.value_of(text)
        except UserError as error:
            self.show_value(self._given)
            self._mark(True)
            self.refused.emit(str(error))
            return False
        if value != self._given:
            self._take(value)
        else:
            self.show_value(value)
        return True

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Accept every key; the text is parsed when it is complete."""
        return QValidator.State.Acceptable, text or "", position

    def valueFromText(self, text: str | None) -> float:  # noqa: N802 (Qt's name)
        """Parse a text; returns the present value if it is not valid."""
        try:
            return self._rule.value_of(text or "")
        except UserError:
            return self._given

    def textFromValue(self, value: float) -> str:  # noqa: N802 (Qt's name)
        """Return a value with a decimal point and without trailing zeros."""
        return self._rule.text_of(value)

    def stepBy(self, steps: int) -> None:  # noqa: N802 (Qt's name)
        """Step from the typed value."""
        if self.commit():
            super().stepBy(steps)
            self.setValue(max(self.value(), self._rule.least))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Restore the last value on Esc."""
        if event is not None and event.key() == Qt.Key.Key_Escape and self._typed is not None:
            self.show_value(self._given)
            self.selectAll()
            return
        super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Scroll the panel instead, unless the field has the focus."""
        if self.hasFocus():
            super().wheelEvent(event)
        elif event is not None:
            event.ignore()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Keep the notation of numbers when the locale of the window changes."""
        if event is not None and event.type() == QEvent.Type.LocaleChange:
            return
        super().changeEvent(event)

    def _take(self, value: float) -> None:
        self.show_value(value)
        self.entered.emit(value)

    def _on_typed(self, text: str) -> None:
        self._typed = text
        self._mark(False)

    def _mark(self, wrong: bool) -> None:
        """Mark the field as wrong, or remove the mark."""
        self._line.setStyleSheet(_WRONG if wrong else "")
