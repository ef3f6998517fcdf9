"""Closing the whole window during work: it ends, without messages."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari._qt.qt_viewer import QtViewer
from napari.viewer import Viewer
from qtpy.QtCore import QCoreApplication, QEvent, QTimer
from qtpy.QtTest import QSignalSpy
from qtpy.QtWidgets import QApplication, QMessageBox, QProgressDialog

from muse_core.jobs import DetectJob
from muse_core.nuclei.store import AnnotationStore
from napari_muse.jobs.wait_window import wait_with_window
from napari_muse.panels.confirm import ask
from napari_muse.panels.muse_panel import MusePanel

from ..slides.slide_files import write_ome_zarr

JOB = Path(__file__).parent / "jobs" / "talking_job.py"


@pytest.fixture
def training(
    make_napari_viewer: Callable[..., Viewer], tmp_path: Path, qtbot: Any
) -> Iterator[MusePanel]:
    """A window in which a training runs; cancelled, it is complete when "may_end" is there."""
    viewer = make_napari_viewer(show=True)
    _, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    assert isinstance(panel, MusePanel)
    runner, files = panel.learning.runner, [str(tmp_path / n) for n in ("kept", "may_end")]
    runner._command = [sys.executable, str(JOB), "complete", *files]
    said: list[Any] = []
    runner.said.connect(said.append)
    runner.start({"mpp": 0.5})
    qtbot.waitUntil(lambda: len(said) == 3)
    yield panel
    (tmp_path / "may_end").touch()
    # napari's fixture knows no window that a person has closed.
    if hasattr(viewer.window, "_qt_window") and not _is_open(viewer):
        vars(viewer.window).pop("_qt_window", None)
        QtViewer._instances.clear()


def _is_open(viewer: Viewer) -> bool:
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    return viewer.window._qt_window in QApplication.topLevelWidgets()


def _answer(panel: MusePanel, text: str) -> None:
    (box,) = [b for b in panel.findChildren(QMessageBox) if b.isVisible()]
    assert box.text().startswith("Fine-tuning is running. Stop it and close?")
    next(b for b in box.buttons() if b.text() == text).click()


@pytest.mark.parametrize("again", [False, True])
def test_a_training_is_completed_before_the_window_closes(
    training: MusePanel, tmp_path: Path, qtbot: Any, again: bool
) -> None:
    viewer, kept = training.session.viewer, tmp_path / "kept"
    viewer.window._qt_window.close()
    _answer(training, "Cancel")
    assert training.learning.running
    assert not kept.exists()
    viewer.window._qt_window.close()
    _answer(training, "Stop and close")
    qtbot.waitUntil(kept.is_file)
    assert viewer.window._qt_window.isVisible()
    if again:
        viewer.window._qt_window.close()
        assert not _is_open(viewer)
        assert kept.read_text() == "begun", "it is not waited for, but completes what it keeps"
    (tmp_path / "may_end").touch()
    qtbot.waitUntil(lambda: kept.read_text() == "complete")
    qtbot.waitUntil(lambda: not _is_open(viewer))


def test_a_script_closes_the_window_unasked(training: MusePanel) -> None:
    viewer = training.session.viewer
    viewer.close()
    assert not hasattr(viewer.window, "_qt_window")
    assert not training.learning.running


@pytest.fixture
def window(make_napari_viewer: Callable[..., Viewer], tmp_path: Path) -> MusePanel:
    """A panel with a slide of two nuclei in a window of its own."""
    viewer = make_napari_viewer()
    _, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    levels = [np.full((600 // f, 800 // f, 3), 200, np.uint8) for f in (1, 2)]
    path = tmp_path / "slide.zarr"
    write_ome_zarr(path, levels)
    viewer.open(path, plugin="napari-muse")
    assert isinstance(panel, MusePanel)
    panel.session.annotations.append([100, 200], [50, 60], [1, 2], [0.9, 0.8], "m", 0.5)
    return panel


def _close(panel: MusePanel) -> None:
    """Close as by the window's button; Qt then deletes the widgets."""
    panel.session.viewer.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_a_file_that_is_being_written_is_completed(
    window: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    window.export.save(tmp_path / "n.csv")
    _close(window)
    qtbot.waitUntil((tmp_path / "n.csv").is_file, timeout=60_000)
    # A widget that is notified of the end would raise here: it is deleted.
    qtbot.wait(300)


def test_a_job_ends_and_what_was_found_is_kept(
    window: MusePanel, annotations_folder: Path, qtbot: Any
) -> None:
    detection, annotations = window.detection, window.session.annotations
    detection.runner._command = [sys.executable, str(JOB), "hang"]
    detection.start(DetectJob(slide=""), ())
    qtbot.waitUntil(lambda: 50.5 in annotations.to_table()["x"].tolist(), timeout=60_000)
    process = detection.runner._process
    assert process is not None
    ended = QSignalSpy(process.destroyed)
    _close(window)
    assert not detection.running
    assert len(ended) or ended.wait(60_000), "the process is gone"
    with AnnotationStore.open(next(annotations_folder.glob("*.muse")), read_only=True) as store:
        assert sorted(store.nuclei()["x"]) == [50.5, 100, 200]


def test_an_edit_that_takes_long_is_completed(window: MusePanel, qtbot: Any) -> None:
    closed, ended = threading.Event(), threading.Event()

    def work(_: Callable[[], bool]) -> None:
        assert closed.wait(60)
        ended.set()

    def close_while_waiting() -> None:
        if isinstance(QApplication.activeModalWidget(), QProgressDialog):
            _close(window)
            closed.set()
        else:
            QTimer.singleShot(50, close_while_waiting)

    ask(window, "Sure?", "Go on", lambda: wait_with_window(work, "Working …"), lambda: None)
    (box,) = window.findChildren(QMessageBox)
    (go_on,) = (button for button in box.buttons() if button.text() == "Go on")
    QTimer.singleShot(0, close_while_waiting)
    # A widget that is used afterwards would raise here: it is deleted.
    go_on.click()
    assert ended.is_set()


_SCRIPT = """
import sys
import napari
viewer = napari.Viewer()
_, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
for slide in sys.argv[1:]:
    viewer.open(slide, plugin="napari-muse")
panel.session.annotations.add_region([(0, 0), (90, 0), (90, 90)], True)
"""


def test_a_program_that_ends_with_its_window_open_says_nothing(
    cmu_slide: Path, small_slide: Path
) -> None:
    # With a slide of this size PyQt crashed at the end.
    command = [sys.executable, "-c", _SCRIPT, str(cmu_slide), str(small_slide)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert "Traceback" not in done.stderr, done.stderr
