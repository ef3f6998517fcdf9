"""The dialog that maps a model's classes to a slide's."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication

from napari_muse.panels.mapping_dialog import MappingDialog


def test_its_buttons_are_on_the_screen_whatever_the_classes(qtbot: Any) -> None:
    dialog = MappingDialog("m" * 200, [f"class {i}" for i in range(100)], ["t" * 500, "other"])
    qtbot.addWidget(dialog)
    dialog.open()
    qtbot.waitExposed(dialog)
    screen = QApplication.primaryScreen().availableGeometry()
    buttons = dialog.buttons
    assert screen.contains(dialog.frameGeometry())
    assert screen.contains(buttons.rect().translated(buttons.mapToGlobal(QPoint())))
    assert len(dialog.mapping) == 100


def test_a_few_classes_are_seen_at_once(qtbot: Any) -> None:
    dialog = MappingDialog("model", [f"class {i}" for i in range(7)], ["one", "other"])
    qtbot.addWidget(dialog)
    dialog.open()
    qtbot.waitExposed(dialog)
    for choice in dialog.choices.values():
        assert choice.visibleRegion().boundingRect() == choice.rect()
