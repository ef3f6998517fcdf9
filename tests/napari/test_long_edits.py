"""Edits of many nuclei: written in the background, with the window responsive, or not at all."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QMessageBox

from muse_core.errors import UserError
from muse_core.isolation import CancelledError
from muse_core.nuclei import NucleusFile, Status, nucleus_table, write_csv
from muse_core.nuclei.store import journal
from napari_muse.annotations.class_edits import ClassEdits
from napari_muse.panels.muse_panel import MusePanel

from .actions import press

N = 6_000


def _table(n: int = N) -> Any:
    rng = np.random.default_rng(0)
    xy = rng.uniform(1, 99, (n, 2)) + 100 * rng.integers(0, 3, (n, 2)) * [1, 0]
    return nucleus_table(xy[:, 0], xy[:, 1], "tumor", 0.5, model="m")


def _assert_same(rows: Any, others: Any) -> None:
    for name in rows.dtype.names:
        np.testing.assert_array_equal(rows[name], others[name])


class Watch:
    """Records in which thread the journal is written, and how often the interface gets to run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: list[int] = []
        self.ticks = 0
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(1)
        append = journal._append

        def seen(*args: Any) -> int:
            self.threads.append(threading.get_ident())
            self.ticks = 0
            if self.threads[-1] != threading.main_thread().ident:
                while not self.ticks:  # goes on only once the interface has had its turn
                    time.sleep(0.001)
            return append(*args)

        monkeypatch.setattr(journal, "_append", seen)

    def _tick(self) -> None:
        self.ticks += 1


@pytest.fixture
def many(opened: MusePanel) -> MusePanel:
    """6,000 nuclei imported from a file, in addition to the three that exist."""
    opened.session.annotations.load(NucleusFile(_table()))
    return opened


def test_many_nuclei_change_undo_and_redo_beside_the_interface(
    many: MusePanel, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    annotations = many.session.annotations
    before = annotations.rows.copy()
    watch = Watch(monkeypatch)
    many.session.nuclei.select(before["id"])
    press(many, qtbot, Qt.Key.Key_1)
    (box,) = [b for b in many.findChildren(QMessageBox) if b.isVisible()]
    agree = next(b for b in box.buttons() if b.text() == "Give them the class")
    qtbot.mouseClick(agree, Qt.MouseButton.LeftButton)
    assert (annotations.rows["status"] != Status.PREDICTED).all()
    after = annotations.rows.copy()
    press(many, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    _assert_same(annotations.rows, before)
    press(many, qtbot, Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    _assert_same(annotations.rows, after)
    assert len(watch.threads) == 3, "each is written once"
    assert threading.get_ident() not in watch.threads


def test_many_nuclei_are_added_and_merged_beside_the_interface(
    many: MusePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = many.session.annotations
    before = annotations.rows.copy()
    counts = annotations.counts()
    watch = Watch(monkeypatch)
    x, y = np.random.default_rng(1).uniform(300, 400, (2, N))
    added = annotations.add_many(x, y - 100, 1)
    assert annotations.counts().tolist() == [counts[0] + len(added), counts[1]]
    ClassEdits(annotations).merge("tumor", "lymphocyte")
    assert annotations.counts().tolist() == [counts.sum() + len(added)]
    assert len(watch.threads) == 2
    assert threading.get_ident() not in watch.threads
    with pytest.raises(UserError, match="nuclei at all of these places already"):
        annotations.add_many(x, y - 100, 1)
    assert annotations.undo()
    assert annotations.undo()
    _assert_same(annotations.rows, before)


def test_a_large_file_is_taken_over_beside_the_interface(
    opened: MusePanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    path = tmp_path / "many.csv"
    write_csv(_table(), path, opened.session.mpp or 0.5)
    watch = Watch(monkeypatch)
    said: list[str] = []
    opened.session.done.connect(said.append)
    opened.session.viewer.open(path, plugin="napari-muse")
    qtbot.waitUntil(lambda: bool(said), timeout=20_000)
    assert len(said) == 1
    assert "nuclei taken over" in said[0]
    assert len(watch.threads) == 1
    assert threading.get_ident() not in watch.threads
    assert opened.session.annotations.counts()[1] > N // 2
    press(opened, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert opened.session.annotations.counts().tolist() == [3, 0]


def test_what_is_cancelled_leaves_everything_as_it_was(many: MusePanel, qtbot: Any) -> None:
    annotations = many.session.annotations
    before = annotations.rows.copy()
    wait, annotations.wait = annotations.wait, lambda work, sentence: work(lambda: True)
    for act in (
        annotations.undo,
        lambda: annotations.confirm(before["id"]),
        lambda: annotations.load(NucleusFile(_table().assign(x=lambda t: t["x"] + 0.3))),
    ):
        with pytest.raises(CancelledError, match="nothing has changed"):
            act()
        _assert_same(annotations.rows, before)
        _assert_same(annotations.store.rows(), before)
    press(many, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert "Cancelled; nothing has changed." in many.status.text()
    annotations.wait = wait
    press(many, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert annotations.counts().sum() == 3
