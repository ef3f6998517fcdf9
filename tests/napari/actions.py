"""User actions: clicks on the slide and key presses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qtpy.QtTest
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

from napari_muse.napari_compat import canvas_widget
from napari_muse.panels.muse_panel import MusePanel

QTest: Any = qtpy.QtTest.QTest
"""PyQt6's stubs declare its static functions as methods."""


def when_asked(answer: Callable[[QWidget], object]) -> None:
    """Answer the next modal dialog, however long it takes to appear."""
    dialog = QApplication.activeModalWidget()
    if dialog is None or not dialog.isVisible():
        QTimer.singleShot(100, lambda: when_asked(answer))
    else:
        answer(dialog)


def answer(parent: QWidget, qtbot: Any, agree: bool = True) -> str:
    """Press a button of the question over a panel or dialog, as soon as it is asked.

    Returns:
        The question.
    """
    qtbot.waitUntil(lambda: bool(parent.findChildren(QMessageBox)), timeout=20_000)
    box = parent.findChild(QMessageBox)
    assert box is not None
    qtbot.waitExposed(box)
    asked = str(box.text())
    role = QMessageBox.ButtonRole.AcceptRole if agree else QMessageBox.ButtonRole.RejectRole
    button = next(b for b in box.buttons() if box.buttonRole(b) == role)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not parent.findChildren(QMessageBox), timeout=5000)
    return asked


def canvas_of(panel: MusePanel) -> Any:
    return canvas_widget(panel.session.viewer)


def screen_point(panel: MusePanel, x: float, y: float) -> QPoint:
    """Position on the canvas of a level-0 point of the slide."""
    viewer = panel.session.viewer
    world = panel.session.placement.to_world([x], [y])[0]
    centre = np.asarray(viewer.scene.camera.center)[-2:]
    height, width = viewer.canvas.size
    row, column = (world - centre) * viewer.scene.camera.zoom + np.array([height, width]) / 2
    return QPoint(round(float(column)), round(float(row)))


def click(
    panel: MusePanel, qtbot: Any, x: float, y: float, modifier: Any = Qt.KeyboardModifier.NoModifier
) -> None:
    point = screen_point(panel, x, y)
    canvas = canvas_of(panel)
    qtbot.mouseMove(canvas, point)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, modifier, point)
    qtbot.wait(150)


def press(
    panel: MusePanel, qtbot: Any, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier
) -> None:
    qtbot.keyClick(canvas_of(panel), key, modifier)
    qtbot.wait(150)


def use_window(panel: MusePanel, qtbot: Any) -> None:
    """Activate the window; otherwise no widget gets the keyboard focus."""
    window = panel.window()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=5000)
