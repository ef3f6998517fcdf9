"""User actions of learning from each correction."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QPoint, Qt

from napari_muse.panels.muse_panel import MusePanel

from ..actions import QTest, answer

N = 300


def tick(panel: MusePanel) -> None:
    # Its middle may lie beside its words, where the dock is wide.
    none = Qt.KeyboardModifier.NoModifier
    QTest.mouseClick(panel.relearn.on, Qt.MouseButton.LeftButton, none, QPoint(8, 8))


def turn_on(panel: MusePanel, qtbot: Any) -> None:
    tick(panel)
    answer(panel, qtbot)
    settled(panel, qtbot)


def settled(panel: MusePanel, qtbot: Any) -> None:
    """Wait until no work is running."""
    state = panel.relearning
    qtbot.wait(80)
    qtbot.waitUntil(lambda: not state.busy and not state.waiting, timeout=20_000)


def correct(panel: MusePanel, count: int = 40) -> None:
    """Correct nuclei all over the slide."""
    annotations = panel.session.annotations
    rng = np.random.default_rng(1)
    for at in rng.choice(N, count, replace=False):
        row = annotations.rows[at]
        annotations.set_class([row["id"]], 1 if row["x"] < 200 else int(row["class_id"]))


def classes(panel: MusePanel) -> list[int]:
    """Index of each nucleus' class among the classes."""
    annotations = panel.session.annotations
    found: list[int] = annotations.class_index(annotations.rows).tolist()
    return found
