"""Panels of one viewer, one after the other or two at once, share its session and its keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from muse_core.jobs import DetectJob
from napari_muse.panels.muse_panel import MusePanel

from ..actions import press

TALKING = Path(__file__).parents[1] / "jobs" / "talking_job.py"


def test_what_ends_with_the_dock_is_said(opened: MusePanel, qtbot: Any) -> None:
    annotations, window = opened.session.annotations, opened.session.viewer.window
    opened.detection.runner._command = [sys.executable, str(TALKING), "wait"]
    opened.detection.start(DetectJob(slide=""), ())
    qtbot.waitUntil(lambda: annotations.detecting and len(annotations.rows) > 0, timeout=20_000)
    notification_manager.records.clear()
    window.remove_dock_widget(opened)
    (said,) = notification_manager.records
    assert said.message == (
        "The MUSE panel was closed. The detection was stopped; what has been found is kept."
    )
    assert not annotations.detecting
    assert sorted(annotations.to_table()["x"]) == [50.5, 100, 200, 300]
    notification_manager.records.clear()


def test_a_dock_in_which_nothing_runs_is_closed_without_a_word(opened: MusePanel) -> None:
    notification_manager.records.clear()
    opened.session.viewer.window.remove_dock_widget(opened)
    assert not notification_manager.records


def test_a_panel_made_by_a_script_replaces_the_one_there(opened: MusePanel, qtbot: Any) -> None:
    session, window = opened.session, opened.session.viewer.window
    second = MusePanel(session.viewer)
    window.add_dock_widget(second, name="again")
    assert second.session is session
    docked = [dock.widget() for dock in window._qt_window.findChildren(QDockWidget)]
    assert second in docked
    assert opened not in docked
    press(second, qtbot, Qt.Key.Key_A)
    assert second.keys.add_mode, "one panel has heard of the key"
    press(second, qtbot, Qt.Key.Key_A)
    session.nuclei.select([1])
    press(second, qtbot, Qt.Key.Key_2)
    press(second, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not session.annotations.undo(), "one edit was made"
    assert second.status.text().startswith("Undone")
    window.remove_dock_widget(second)
    press(second, qtbot, Qt.Key.Key_A)
    assert str(session.nuclei.layer.mode) == "pan_zoom", "no panel hears of keys any more"


def test_a_dock_opened_again_has_the_session_although_its_layer_was_deleted(
    panel: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    session, viewer = panel.session, panel.session.viewer
    viewer.layers.remove(session.nuclei.layer)
    viewer.window.remove_dock_widget(panel)
    qtbot.wait(50)
    _, again = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    assert again.session is session
    viewer.open(small_slide, plugin="napari-muse")
    assert session.nuclei.layer in viewer.layers
    session.annotations.add(50, 60, session.annotations.class_ids[0])
    assert [layer.name for layer in viewer.layers].count("Nuclei") == 1
    viewer.window.remove_dock_widget(again)
