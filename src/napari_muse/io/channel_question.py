"""Ask whether an image whose channels are named like dyes comes from a colour camera."""

from __future__ import annotations

from qtpy.QtWidgets import QApplication, QMessageBox

from napari_muse.plain_text import as_it_is


def ask_whether_rgb(what: str) -> bool:
    """Whether the user says that the first three channels are red, green and blue.

    Without a window the answer is no.

    Args:
        what: Half a sentence about the channels, for the user.
    """
    if QApplication.instance() is None:
        return False
    answer = QMessageBox.question(
        QApplication.activeWindow(),
        "MUSE",
        as_it_is(
            f"{what}. If it is one of a colour camera, its first three channels can be taken as"
            " red, green and blue. Take them so?"
        ),
        QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
        QMessageBox.StandardButton.No,
    )
    return bool(answer == QMessageBox.StandardButton.Yes)
