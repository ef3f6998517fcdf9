"""Learning from corrections on several slides, and after further detections."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from qtpy.QtCore import Qt

from muse_core.jobs import DetectJob
from muse_core.nuclei import Status
from muse_core.slides import Region
from napari_muse.panels.muse_panel import MusePanel

from ..actions import press
from .relearn_actions import N, classes, correct, settled, turn_on


def test_a_slide_that_is_left_too_soon_is_learnt_from_when_one_comes_back(
    featured: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    session, says = featured.session, featured.relearn.says
    viewer, first = session.viewer, session.image_layer
    turn_on(featured, qtbot)
    other = tmp_path / "other.png"
    Image.new("RGB", (60, 50), (230, 190, 210)).save(other)
    viewer.open(other, plugin="napari-muse")
    assert "the others follow at once" in says.text(), "nothing is being learnt here"
    second = session.image_layer
    viewer.layers.selection.active = first
    before = classes(featured)
    correct(featured)
    corrected = session.annotations.rows["status"] != Status.PREDICTED
    viewer.layers.selection.active = second
    settled(featured, qtbot)
    assert "the others follow at once" in says.text()
    viewer.layers.selection.active = first
    settled(featured, qtbot)
    assert "40 nuclei teach" in says.text()
    assert np.any((np.array(before) != classes(featured))[~corrected])


def test_a_slide_whose_features_are_complete_is_learnt_from_and_not_the_one_shown_by_then(
    featured: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    session, learns = featured.session, featured.relearning
    turn_on(featured, qtbot)
    first, other = session.image_layer, tmp_path / "other.png"
    Image.new("RGB", (60, 50), (230, 190, 210)).save(other)
    talking = str(Path(__file__).with_name("talking_job.py"))
    learns.missing.runner._command = [sys.executable, talking, "done"]
    learns.compute_features(None)
    session.viewer.open(other, plugin="napari-muse")
    qtbot.waitUntil(lambda: not learns.missing.running, timeout=20_000)
    assert not learns.waiting
    session.viewer.layers.selection.active = first
    assert learns.waiting
    settled(featured, qtbot)


def test_nuclei_that_are_detected_afterwards_follow_the_corrections(
    featured: MusePanel, qtbot: Any
) -> None:
    turn_on(featured, qtbot)
    correct(featured)
    settled(featured, qtbot)
    learnt = classes(featured)
    press(featured, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert classes(featured) != learnt, "as after a detection, whose classes are the model's own"
    talking = str(Path(__file__).with_name("talking_job.py"))
    featured.detection.runner._command = [sys.executable, talking, "done"]
    beside_the_nuclei = Region(50, 60, 2, 2)
    featured.detection.start(DetectJob(slide=""), (beside_the_nuclei,))
    qtbot.waitUntil(lambda: not featured.detection.running, timeout=20_000)
    settled(featured, qtbot)
    assert classes(featured)[:N] == learnt
