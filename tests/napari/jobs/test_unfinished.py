"""An unfinished detection: the next window offers to finish it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt

from muse_core.detect import Detector
from muse_core.detect.config import DetectConfig
from muse_core.jobs import DetectJob
from muse_core.models.checkpoint import load_model
from muse_core.slides import open_slide
from napari_muse.panels.muse_panel import MusePanel

from ...job_inputs import write_model, write_slide

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def test_a_killed_detection_is_finished_by_a_click(
    panel: MusePanel, tmp_path: Path, qtbot: Any, shoot: Callable[[Any, str], None]
) -> None:
    slide = write_slide(tmp_path / "slide.png", 2600, 1800)
    model = write_model(tmp_path / "tiny.safetensors")
    viewer, session, detect = panel.session.viewer, panel.session, panel.detect
    detection = detect._detection
    viewer.open(slide, plugin="napari-muse")
    session.set_mpp(0.5)
    assert detect.finish.isHidden()
    job = DetectJob(slide="", model=str(model), device="cpu", backend="torch")
    detection.start(job, ())
    detect.status.begin()
    qtbot.waitUntil(lambda: len(session.annotations.rows) > 0, timeout=120_000)
    process = detection.runner._process
    assert process is not None
    os.kill(process.processId(), signal.SIGKILL)
    qtbot.waitUntil(lambda: not detection.running, timeout=20_000)
    qtbot.waitUntil(lambda: detect.finish.isVisible(), timeout=5_000)
    assert "Finish" in detect.message.text()
    part = len(session.annotations.rows)

    # Opened again, as after a restart of the program.
    viewer.layers.clear()
    qtbot.wait(100)
    assert detect.finish.isHidden()
    viewer.open(slide, plugin="napari-muse")
    session.set_mpp(0.5)
    assert detect.finish.isVisible()
    assert "was not finished" in detect.message.text()
    shoot(panel, "unfinished")
    qtbot.mouseClick(detect.finish, Qt.MouseButton.LeftButton)
    assert detect.finish.isHidden()
    qtbot.waitUntil(lambda: not detection.running, timeout=120_000)
    qtbot.wait(200)
    assert "by an earlier run" in detect.message.text()
    assert detect.finish.isHidden()
    with open_slide(slide, mpp=0.5) as opened:
        config = DetectConfig(device="cpu", features=True)
        whole = Detector(load_model(model), config).detect(opened).table
    assert len(session.annotations.rows) == len(whole) > part
