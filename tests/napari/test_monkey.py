"""A monkey at mouse and keyboard: whatever it presses, whenever, nothing fails."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QMenu,
    QTabBar,
    QWidget,
)

from muse_core.errors import UserError
from napari_muse.panels.muse_panel import MusePanel

from .actions import QTest, canvas_of, screen_point

STEPS = 200
LEFT, NO = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
MODIFIERS = (*[NO] * 6, CTRL, SHIFT, Qt.KeyboardModifier.AltModifier, CTRL | SHIFT)
NAMED_KEYS = (
    *("Delete", "Backspace", "Space", "Tab", "Escape", "Return", "Left", "Right", "Up", "Down"),
    *("Home", "End", "PageUp", "F1", "Plus", "Minus", "Period", "Comma", "Slash"),
)
TYPED = ("0.5", "0,25", "", "x", "12", "1e5", "-3", "tumor")
CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView, QTabBar)
MOST_DIALOGS = 8
"""Buttons that it presses in dialogs after one action, before it closes them."""


class Monkey:
    """Acts at random, and notes what it does."""

    def __init__(self, panel: MusePanel, folder: Path, seed: int) -> None:
        self.done: list[str] = []
        self._panel, self._folder, self._chance = panel, folder, random.Random(seed)
        self._viewer = panel.session.viewer
        self._canvas = canvas_of(panel)
        self._dialogs = 0
        self._kinds: dict[Callable[[], None], int] = {
            self._key: 30,
            self._click: 14,
            self._drag: 8,
            self._wheel: 4,
            self._control: 34,
            self._layer: 6,
            self._open: 4,
        }

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Answer dialogs, too."""
        timer = QTimer()
        timer.timeout.connect(self._answer)
        timer.start(60)
        try:
            yield
        finally:
            timer.stop()

    def act(self) -> None:
        """Do something, and wait a little or not at all."""
        self._dialogs = 0
        (kind,) = self._chance.choices(list(self._kinds), list(self._kinds.values()))
        kind()
        QTest.qWait(self._one_of([0, 0, 1, 5, 40]))

    def _one_of(self, among: Sequence[Any]) -> Any:
        return self._chance.choice(among)

    def _note(self, *words: object) -> None:
        self.done.append(" ".join(map(str, words)))

    def _answer(self) -> None:
        dialog = QApplication.activeModalWidget() or QApplication.activePopupWidget()
        if dialog is None:
            return
        self._dialogs += 1
        buttons = [b for b in dialog.findChildren(QAbstractButton) if _usable(b)]
        if isinstance(dialog, QMenu) or not buttons or self._dialogs > MOST_DIALOGS:
            self._note("close", type(dialog).__name__)
            dialog.close()
            return
        for field in filter(_usable, dialog.findChildren(QLineEdit)):
            if self._chance.random() < 0.3:
                QTest.keyClicks(field, self._one_of(TYPED))
        button = self._one_of(buttons)
        self._note("press", button.text(), "in", type(dialog).__name__)
        QTest.mouseClick(button, LEFT)

    def _key(self) -> None:
        key = self._one_of([*"0123456789" * 2, *"ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 2, *NAMED_KEYS])
        modifier = self._one_of(MODIFIERS)
        if self._chance.random() < 0.15:
            key, modifier = "Z", self._one_of([CTRL, CTRL | SHIFT])
        if key in "QWO" and modifier != NO:
            return  # Those end napari, or are its own.
        focus = QApplication.focusWidget() if self._chance.random() < 0.3 else None
        self._note("key", key, modifier)
        QTest.keyClick(focus or self._canvas, getattr(Qt.Key, f"Key_{key}"), modifier)

    def _click(self) -> None:
        point, modifier = self._place(), self._one_of(MODIFIERS)
        button = self._one_of([*[LEFT] * 5, Qt.MouseButton.RightButton])
        click = self._one_of([*[QTest.mouseClick] * 7, QTest.mouseDClick])
        self._note("click", point, modifier)
        QTest.mouseMove(self._canvas, point)
        click(self._canvas, button, modifier, point)

    def _drag(self) -> None:
        start, end, modifier = self._place(), self._place(), self._one_of(MODIFIERS)
        self._note("drag", start, end, modifier)
        QTest.mouseMove(self._canvas, start)
        QTest.mousePress(self._canvas, LEFT, modifier, start)
        for share in (0.2, 0.5, 0.8, 1.0):
            QTest.mouseMove(self._canvas, start + (end - start) * share)
            QTest.qWait(5)
        QTest.mouseRelease(self._canvas, LEFT, modifier, end)

    def _wheel(self) -> None:
        point, turn = self._place(), QPoint(0, self._one_of([120, -120, 480, -480]))
        self._note("wheel", turn)
        everywhere = QPointF(self._canvas.mapToGlobal(point))
        event = QWheelEvent(
            QPointF(point),
            everywhere,
            turn,
            turn,
            Qt.MouseButton.NoButton,
            self._one_of(MODIFIERS),
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(self._canvas, event)

    def _place(self) -> QPoint:
        """Somewhere on the canvas, or a nucleus, which may lie out of sight."""
        rows = self._panel.session.annotations.rows
        if len(rows) and self._chance.random() < 0.5:
            row = rows[self._chance.randrange(len(rows))]
            return screen_point(self._panel, float(row["x"]), float(row["y"]))
        return self._within(self._canvas)

    def _within(self, widget: QWidget) -> QPoint:
        x, y = (self._chance.randrange(max(1, side)) for side in (widget.width(), widget.height()))
        return QPoint(x, y)

    def _control(self) -> None:
        """Use something in the panel."""
        controls = [w for w in self._panel.findChildren(QWidget) if isinstance(w, CONTROLS)]
        control: Any = self._one_of([w for w in controls if _usable(w)])
        self._note("use", type(control).__name__, control.accessibleName() or control.toolTip())
        if isinstance(control, QComboBox):
            if control.count():
                control.setCurrentIndex(self._chance.randrange(control.count()))
                control.activated.emit(control.currentIndex())
        elif isinstance(control, (QAbstractSpinBox, QLineEdit)):
            control.setFocus()
            QTest.keyClicks(control, self._one_of(TYPED))
            keys = (Qt.Key.Key_Return, Qt.Key.Key_Tab, Qt.Key.Key_Escape, Qt.Key.Key_Up)
            QTest.keyClick(control, self._one_of(keys))
        elif isinstance(control, QAbstractItemView):
            view: Any = control.viewport()
            click = self._one_of([QTest.mouseClick, QTest.mouseDClick])
            click(view, LEFT, NO, self._within(view))
        else:
            QTest.mouseClick(control, LEFT, NO, self._within(control))

    def _layer(self) -> None:
        """Use napari's list of layers, and what stands above it."""
        layers = self._viewer.layers
        layer = self._one_of(list(layers))
        change = self._one_of(["active", "visible", "opacity", "name", "move", "remove", "all"])
        self._note("layer", change, layer.name)
        if change == "active":
            layers.selection.active = layer
        elif change == "visible":
            layer.visible = not layer.visible
        elif change == "opacity":
            layer.opacity = self._chance.random()
        elif change == "name":
            layer.name = self._one_of(["x", "", "Nuclei", "tumor"])
        elif change == "move":
            layers.move(*(self._chance.randrange(len(layers)) for _ in range(2)))
        elif change == "all":
            layers.select_all()
        elif self._chance.random() < 0.3:
            layers.remove(layer)

    def _open(self) -> None:
        path = self._one_of(sorted(self._folder.glob("*.tif")) + sorted(self._folder.glob("*.csv")))
        self._note("open", path.name)
        try:
            self._viewer.open(path, plugin="napari-muse")
        except UserError as error:
            self._note("refused:", error)


def _usable(widget: QWidget) -> bool:
    return widget.isVisible() and widget.isEnabled()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_a_monkey_finds_nothing_that_fails(
    make_napari_viewer: Any,
    opened: MusePanel,
    small_slide: Path,
    tmp_path: Path,
    qtbot: Any,
    seed: int,
) -> None:
    shutil.copy(small_slide, tmp_path / "second.tif")
    (tmp_path / "two.csv").write_text("x_px,y_px,class\n10,10,tumor\n50,60,stromal\n")
    random_numbers = np.random.default_rng(seed)
    x, y = random_numbers.uniform(1, 399, 300), random_numbers.uniform(1, 299, 300)
    classes, scores = random_numbers.integers(1, 3, 300), random_numbers.uniform(0.3, 1, 300)
    opened.session.annotations.append(x, y, classes, scores, "m", 1.0)
    failed: list[str] = []

    def hear(notification: Any) -> None:
        if notification.severity >= NotificationSeverity.ERROR:
            failed.append(notification.message)

    notification_manager.notification_ready.connect(hear)
    monkey = Monkey(opened, tmp_path, seed)
    with monkey.awake():
        for _ in range(STEPS):
            monkey.act()
    QTest.qWait(300)
    notification_manager.notification_ready.disconnect(hear)
    assert not failed, monkey.done[-40:]
    annotations = opened.session.annotations
    table = annotations.to_table()
    assert table["id"].is_unique
    assert set(table["class_name"]) <= set(annotations.scheme.names)
    nuclei = opened.session.nuclei
    qtbot.waitUntil(lambda: len(nuclei.layer.data) == nuclei.in_view, timeout=10_000)
