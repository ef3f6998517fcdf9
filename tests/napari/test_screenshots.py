"""The screenshots of the documentation, taken by using the panel as a user does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from muse_core.slides import Region
from napari_muse.jobs import learning
from napari_muse.panels.muse_panel import MusePanel

from .actions import press

FIELD = Region(700, 1500, 520, 380)
FIELDS = (Region(850, 900, 400, 300), Region(850, 2100, 400, 300))
_DETECT, _REVIEW, _REGIONS, _LEARN = range(4)


@pytest.fixture
def detected(panel: MusePanel, cmu_slide: Path, qtbot: Any) -> MusePanel:
    """The panel with a field of the demo slide detected by the bundled model."""
    panel.session.viewer.window.resize(1500, 950)
    panel.session.viewer.open(cmu_slide, plugin="napari-muse")
    panel.session.show_area(FIELD)
    qtbot.wait(200)
    qtbot.mouseClick(panel.detect.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.detection.running, timeout=120_000)
    assert len(panel.session.annotations.rows) > 100
    return panel


def _window(panel: MusePanel) -> QWidget:
    window = panel.window()
    assert window is not None
    return window


@pytest.mark.slow
def test_pictures_of_every_state(
    detected: MusePanel, shoot: Callable[[QWidget, str], None], qtbot: Any
) -> None:
    session = detected.session
    shoot(detected, "panel-detect")
    detected.tabs.setCurrentIndex(_REVIEW)
    shoot(detected, "panel-review")
    press(detected, qtbot, Qt.Key.Key_N)
    for key in (Qt.Key.Key_Space, Qt.Key.Key_2, Qt.Key.Key_Space):
        press(detected, qtbot, key)
    detected.queue.land()
    shoot(_window(detected), "review")
    session.show_area(FIELD)
    press(detected, qtbot, Qt.Key.Key_R)
    corners = ((760, 1540), (1000, 1560), (960, 1800), (740, 1760))
    session.annotations.add_region(corners, reviewed=False, name="dermis")
    detected.tabs.setCurrentIndex(_REGIONS)
    detected.regions.table.selectRow(1)
    shoot(_window(detected), "regions")
    shoot(detected, "panel-regions")
    dialog = detected.legend.edit_classes()
    assert dialog is not None
    shoot(dialog, "dialog-classes")
    dialog.close()
    session.viewer.theme = "light"
    detected.tabs.setCurrentIndex(_REVIEW)
    shoot(detected, "panel-review-light")


@pytest.mark.slow
def test_picture_of_learning(
    panel: MusePanel, cmu_slide: Path, shoot: Callable[[QWidget, str], None], tmp_path: Path,
    qtbot: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(learning, "user_model_folder", lambda: tmp_path)
    session = panel.session
    session.viewer.window.resize(1400, 900)
    session.viewer.open(cmu_slide, plugin="napari-muse")
    for field in FIELDS:
        session.show_area(field)
        qtbot.wait(200)
        qtbot.mouseClick(panel.detect.start, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not panel.detection.running, timeout=120_000)
        rows = session.annotations.rows
        rows = rows[field.contains(rows["x"], rows["y"])]
        of_tumor = rows["id"][session.annotations.class_index(rows) == 2]
        session.nuclei.select(of_tumor[:9].tolist())
        press(panel, qtbot, Qt.Key.Key_2)
        session.nuclei.select([])
        press(panel, qtbot, Qt.Key.Key_R)
    panel.tabs.setCurrentIndex(_LEARN)
    qtbot.mouseClick(panel.learn.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.learning.running)
    qtbot.waitUntil(lambda: not panel.learning.running, timeout=600_000)
    assert "On the holdout fields" in panel.learn.message.text()
    shoot(_window(panel), "learn")
