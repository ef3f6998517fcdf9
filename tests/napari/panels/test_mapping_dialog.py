"""The dialog that maps a model's classes to a slide's."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication

from napari_muse.panels.mapping_dialog import MappingDialog
from napari_muse.panels.muse_panel import MusePanel


def test_its_buttons_are_on_the_screen_whatever_the_classes(panel: MusePanel, qtbot: Any) -> None:
    theirs, ours = [f"class {i}" for i in range(100)], ["t" * 500, "other"]
    dialog = MappingDialog(panel.session, "m" * 200, theirs, ours)
    qtbot.addWidget(dialog)
    dialog.open()
    qtbot.waitExposed(dialog)
    screen = QApplication.primaryScreen().availableGeometry()
    buttons = dialog.buttons
    assert screen.contains(dialog.frameGeometry())
    assert screen.contains(buttons.rect().translated(buttons.mapToGlobal(QPoint())))
    assert len(dialog.mapping) == 100


def test_a_few_classes_are_seen_at_once(panel: MusePanel, qtbot: Any) -> None:
    theirs = [f"class {i}" for i in range(7)]
    dialog = MappingDialog(panel.session, "model", theirs, ["one", "other"])
    qtbot.addWidget(dialog)
    dialog.open()
    qtbot.waitExposed(dialog)
    for choice in dialog.choices.values():
        assert choice.visibleRegion().boundingRect() == choice.rect()
