"""Dialog that asks for confirmation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_muse.plain_text import for_button, isolated


def ask(
    parent: QWidget,
    question: str,
    button: str,
    then: Callable[[], None],
    otherwise: Callable[[], None],
) -> None:
    """Ask without blocking; Esc, Return and Space mean no.

    Args:
        parent: The dialog lies over its window.
        question: One or two sentences.
        button: What the button that agrees says.
        then: Called when it is pressed.
        otherwise: Called when it is not.
    """
    kinds = QMessageBox.StandardButton
    box = QMessageBox(QMessageBox.Icon.Question, "MUSE", isolated(question), kinds.Cancel, parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    agree = box.addButton(for_button(button), QMessageBox.ButtonRole.AcceptRole)
    box.setDefaultButton(kinds.Cancel)

    def finish(_: int) -> None:
        # What follows may wait with the window alive: the box must outlive its own click.
        try:
            (then if box.clickedButton() is agree else otherwise)()
        finally:
            with suppress(RuntimeError):  # Deleted with the window, which was closed meanwhile.
                box.deleteLater()

    box.finished.connect(finish)
    box.open()
