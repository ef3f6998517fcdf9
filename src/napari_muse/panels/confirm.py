"""A question before something large is done."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget


def ask(
    parent: QWidget,
    question: str,
    button: str,
    then: Callable[[], None],
    otherwise: Callable[[], None],
) -> None:
    """Ask, without waiting; Esc, Return and Space mean no.

    Args:
        parent: The dialog lies over its window.
        question: One or two sentences.
        button: What the button that agrees says.
        then: Called when it is pressed.
        otherwise: Called when it is not.
    """
    kinds = QMessageBox.StandardButton
    box = QMessageBox(QMessageBox.Icon.Question, "MUSE", question, kinds.Cancel, parent)
    agree = box.addButton(button, QMessageBox.ButtonRole.AcceptRole)
    box.setDefaultButton(kinds.Cancel)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.finished.connect(lambda _: then() if box.clickedButton() is agree else otherwise())
    box.open()
