"""The animation of the documentation: twenty corrections, and their effect on the others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from qtpy.QtCore import QPoint, Qt

from muse_core.nuclei import NucleusClass, Status
from muse_core.slides import Region
from napari_muse.panels.muse_panel import MusePanel

from .actions import QTest, answer, press

FIELD = Region(500, 1100, 1100, 800)
WIDTH_PX = 900
MOST_BYTES = 2 << 20
_DIGITS = (Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3)
_STROMAL, _EPITHELIAL = 1, 2


class Recording:
    """Frames of a window, each with its duration."""

    def __init__(self, panel: MusePanel, folder: Path, qtbot: Any) -> None:
        self._panel, self._folder, self._qtbot = panel, folder, qtbot
        self._frames: list[Image.Image] = []
        self._times_ms: list[int] = []

    def take(self, ms: int) -> None:
        self._qtbot.wait(60)
        window = self._panel.window()
        assert window is not None
        path = self._folder / "frame.png"
        assert window.grab().save(str(path))
        with Image.open(path) as frame:
            height = round(WIDTH_PX * frame.height / frame.width)
            small = frame.convert("RGB").resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
        self._frames.append(small)
        self._times_ms.append(ms)

    def save(self, path: Path) -> None:
        first, *rest = self._frames
        first.save(
            path, save_all=True, append_images=rest, duration=self._times_ms, loop=0, quality=55,
            method=4,
        )  # fmt: skip


def _ground(panel: MusePanel, x: float, y: float) -> float:
    """Redness of the tissue around a nucleus: lower in epithelium than in dermis."""
    around = Region(x - 20, y - 20, 40, 40)
    return float(panel.session.require_slide().read(around)[..., 0].mean())


def _in_epithelium(panel: MusePanel, rows: Any) -> npt.NDArray[np.bool_]:
    red = np.array([_ground(panel, r["x"], r["y"]) for r in rows])
    return np.asarray(red < 165)


def _turn_learning_on(panel: MusePanel, qtbot: Any) -> None:
    """Press Learn now, and agree to computing features first."""
    on = panel.relearn.on
    QTest.mouseClick(on, Qt.MouseButton.LeftButton, pos=QPoint(8, on.height() // 2))
    answer(panel, qtbot)


@pytest.mark.slow
@pytest.mark.usefixtures("styled")
def test_correct_twenty_and_watch(
    panel: MusePanel, cmu_slide: Path, tmp_path: Path, qtbot: Any,
    shoot: Callable[[Any, str], None],
) -> None:  # fmt: skip
    session = panel.session
    session.viewer.window.resize(1500, 950)
    session.viewer.open(cmu_slide, plugin="napari-muse")
    session.show_area(FIELD)
    qtbot.wait(200)
    QTest.mouseClick(panel.detect.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.detection.running, timeout=300_000)
    annotations = session.annotations
    tumor = annotations.scheme.classes[_EPITHELIAL]
    assert tumor.name == "tumor"
    skin = NucleusClass("epithelial", tumor.color, tumor.key)
    annotations.edit_classes(lambda store: store.change_class("tumor", skin))
    panel.tabs.setCurrentIndex(1)
    recording = Recording(panel, tmp_path, qtbot)
    recording.take(2500)
    _turn_learning_on(panel, qtbot)

    def settle() -> None:
        qtbot.wait(60)
        state = panel.relearning
        qtbot.waitUntil(lambda: not state.busy and not state.waiting, timeout=20_000)

    settle()
    rows = annotations.rows
    field = rows[
        FIELD.grown(-0.02).contains(rows["x"], rows["y"]) & (annotations.class_index(rows) != 0)
    ]
    field = field[(field["x"] > 700) & (field["x"] < 1350)]
    inside = _in_epithelium(panel, field)
    right = np.where(inside, _EPITHELIAL, _STROMAL)
    shown = annotations.class_index(field)
    before = float((shown == right).mean())
    rng = np.random.default_rng(3)
    wrong = rng.permutation(np.flatnonzero(shown != right))[:14]
    fine = rng.permutation(np.flatnonzero(shown == right))[:6]
    for step, at in enumerate(rng.permutation(np.concatenate([wrong, fine])).tolist()):
        session.nuclei.select([int(field["id"][at])])
        press(panel, qtbot, _DIGITS[right[at]])
        settle()
        if step % 2:
            recording.take(600)
    session.nuclei.select([])
    recording.take(2000)
    QTest.mouseClick(panel.relearn.show_changed, Qt.MouseButton.LeftButton)
    recording.take(1500)
    shoot(panel.window(), "learn-now")
    now = annotations.rows[annotations.index_of(field["id"])]
    rest = now["status"] == Status.PREDICTED
    after = float((annotations.class_index(now) == right)[rest].mean())
    assert after > before + 0.1
    path = Path(os.environ.get("MUSE_SCREENSHOTS") or tmp_path) / "learn-now.webp"
    recording.save(path)
    assert path.stat().st_size <= MOST_BYTES
