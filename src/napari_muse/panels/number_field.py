"""The number field of all panels and dialogs: it reads what people of any country type."""

from __future__ import annotations

import re
from typing import cast

from qtpy.QtCore import QEvent, QLocale, Qt, Signal
from qtpy.QtGui import QKeyEvent, QValidator, QWheelEvent
from qtpy.QtWidgets import QDoubleSpinBox, QLineEdit

from muse_core.errors import UserError

# A point in Arabic, Persian and other scripts; a minus as typesetters and spreadsheets write it.
_SAME = str.maketrans({"\N{ARABIC DECIMAL SEPARATOR}": ".", ",": ".", "\N{MINUS SIGN}": "-"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_MOST_DECIMALS = 9
_SHOWN_DIGITS = 6
_WRONG = "border: 1px solid #d73a49;"


def read_number(text: str, unit: str = "") -> float:
    """A typed number, with a point or a comma before its decimals, in the digits of any script.

    Nothing marks thousands, for one country's mark is the other's decimal sign.

    Args:
        text: As typed, with or without the unit.
        unit: What may stand behind the number, such as "%".

    Raises:
        UserError: It is no number.
    """
    bare, sign = text.strip(), unit.strip()
    # The field's own unit stays when the number before it is typed anew with one.
    while sign and bare.endswith(sign):
        bare = bare.removesuffix(sign).strip()
    bare = bare.translate(_SAME)
    if not _NUMBER.fullmatch(bare):
        raise UserError(f"“{text.strip()}” is no number; type it like 0.25 or 0,25.")
    return float(bare)


class NumberField(QDoubleSpinBox):
    """A field that takes every key, and reads what was typed when it is done.

    The spin boxes of Qt drop keys that their language has no use for, so that 0.25 becomes 25
    or 2.0 where one writes 0,25. What cannot be read, or is out of range, leaves the value as it
    was; the field is marked and says why. The wheel turns it only while it has the focus.

    Signals:
        entered: A person has given another value.
        refused: A sentence: why what was typed is not taken.
    """

    entered = Signal(float)
    refused = Signal(str)

    def __init__(
        self,
        name: str,
        least: float,
        most: float,
        step: float,
        decimals: int = _MOST_DECIMALS,
        unset: str = "",
        unit: str = "",
    ) -> None:
        """Make a field.

        Args:
            name: What the number is, for sentences.
            least: Smallest value a person may give.
            most: Largest.
            step: Of the arrows.
            decimals: Of the value kept; 0 is a whole number. Six digits at most are shown.
            unset: Shown for "no value", which is 0; without it there always is one.
            unit: Shown behind the number.
        """
        super().__init__()
        self._name, self._least, self._unset = name, least, unset
        self._typed: str | None = None
        self._given = 0.0
        self.setLocale(QLocale.c())
        self.setDecimals(decimals)
        self.setRange(min(0.0, least) if unset else least, most)
        self.setSingleStep(step)
        self.setSuffix(unit)
        self.setSpecialValueText(unset)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._line = cast(QLineEdit, self.lineEdit())
        self._line.textEdited.connect(self._on_typed)
        self.editingFinished.connect(self.commit)
        self.show_value(self.minimum())

    def show_value(self, value: float) -> None:
        """Show a value that no person has typed."""
        self._typed = None
        self._mark(False)
        self._given = value
        self.setValue(value)
        # Qt leaves a text alone that means the same value.
        unset = self._unset if value == self.minimum() else ""
        self._line.setText(unset or f"{self.textFromValue(value)}{self.suffix()}")

    def commit(self) -> bool:
        """Take what was typed; returns False, and says why, where it cannot be taken."""
        text, self._typed = self._typed, None
        if text is None:
            if self.value() != self._given:  # By the arrows or the wheel.
                self._take(self.value())
            return True
        try:
            value = self._checked(text)
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
        """Take every key; what the text means is looked at when it is complete."""
        return QValidator.State.Acceptable, text or "", position

    def valueFromText(self, text: str | None) -> float:  # noqa: N802 (Qt's name)
        """Return the number that a text means, or the present value where it means none."""
        try:
            return self._checked(text or "")
        except UserError:
            return self._given

    def textFromValue(self, value: float) -> str:  # noqa: N802 (Qt's name)
        """Return as few digits as there are, with a point."""
        return f"{value:.0f}" if not self.decimals() else f"{value:.{_SHOWN_DIGITS}g}"

    def stepBy(self, steps: int) -> None:  # noqa: N802 (Qt's name)
        """Step from what is typed."""
        if self.commit():
            super().stepBy(steps)
            self.setValue(max(self.value(), self._least))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Esc takes back what is being typed."""
        if event is not None and event.key() == Qt.Key.Key_Escape and self._typed is not None:
            self.show_value(self._given)
            self.selectAll()
            return
        super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Scroll the panel over a field that nobody is using."""
        if self.hasFocus():
            super().wheelEvent(event)
        elif event is not None:
            event.ignore()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Keep to one way of writing numbers where the language of the window changes."""
        if event is not None and event.type() == QEvent.Type.LocaleChange:
            return
        super().changeEvent(event)

    def _checked(self, text: str) -> float:
        """The value of a text; raises UserError."""
        # Who clicks behind the word and types leaves it there.
        text = text.replace(self._unset, "") if self._unset else text
        if self._unset and not text.strip():
            return self.minimum()
        value = read_number(text, self.suffix())
        if not self.decimals() and not value.is_integer():
            raise UserError(f"{self._name} is a whole number, not {text.strip()}.")
        if not self._least <= value <= self.maximum():
            raise UserError(
                f"{self._name} must lie between {self._least:g} and {self.maximum():g},"
                f" not {text.strip()}."
            )
        return round(value, self.decimals())

    def _take(self, value: float) -> None:
        self.show_value(value)
        self.entered.emit(value)

    def _on_typed(self, text: str) -> None:
        self._typed = text
        self._mark(False)

    def _mark(self, wrong: bool) -> None:
        """Mark the field as wrong, or take the mark off."""
        self._line.setStyleSheet(_WRONG if wrong else "")
