"""Correcting on a full disk or in a locked file: it is said, and what is shown is stored."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from muse_core.nuclei import ClassScheme, NucleusFile, nucleus_table
from muse_core.nuclei.store import AnnotationStore
from napari_muse.panels.muse_panel import MusePanel

from ..small_disk import fill, small_disk
from .actions import canvas_of, click, press

CTRL = Qt.KeyboardModifier.ControlModifier


def _content(panel: MusePanel) -> list[Any]:
    table = panel.session.annotations.to_table()
    return [table.to_numpy().tolist(), panel.session.annotations.regions().to_numpy().tolist()]


def _kept(panel: MusePanel, path: Path) -> list[Any]:
    """What another program reads from the file."""
    with AnnotationStore.open(path, read_only=True) as store:
        return [store.nuclei().to_numpy().tolist(), store.regions().to_numpy().tolist()]


def _is_full(panel: MusePanel) -> bool:
    return "Could not save to" in panel.status.text() and "disk" in panel.status.text()


def _file() -> NucleusFile:
    return NucleusFile(nucleus_table(np.arange(50.0), np.ones(50), "tumor"))


def test_corrections_on_a_full_disk(
    panel: MusePanel, small_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    session = panel.session
    with small_disk(tmp_path / "full", "2m") as folder:
        monkeypatch.setenv("MUSE_ANNOTATIONS", str(folder))
        session.viewer.open(small_slide, plugin="napari-muse")
        session.viewer.reset_view()
        session.annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte", "tumor"]))
        rng = np.random.default_rng(0)
        x, y = rng.uniform(5, 395, 400), rng.uniform(5, 295, 400)
        session.annotations.append(x, y, np.ones(400, int), np.ones(400), "m", 0.0)
        session.nuclei.refresh()
        (path,) = folder.glob("*.muse")
        ids = np.arange(1, 401)
        session.nuclei.select([1, 2, 3])
        press(panel, qtbot, Qt.Key.Key_C, CTRL)
        press(panel, qtbot, Qt.Key.Key_Delete)
        fill(folder)
        # The log has space of its own until it has to grow.
        for turn in range(200):
            session.nuclei.select(ids)
            qtbot.keyClick(canvas_of(panel), (Qt.Key.Key_2, Qt.Key.Key_1)[turn % 2])
            if _is_full(panel):
                break
        assert _is_full(panel)
        before = _content(panel)
        assert _kept(panel, path) == before
        acts: dict[str, Callable[[], object]] = {
            "class": lambda: press(panel, qtbot, Qt.Key.Key_2),
            "removal": lambda: press(panel, qtbot, Qt.Key.Key_Delete),
            "undo": lambda: press(panel, qtbot, Qt.Key.Key_Z, CTRL),
            "paste": lambda: press(panel, qtbot, Qt.Key.Key_V, CTRL),
            "review": lambda: press(panel, qtbot, Qt.Key.Key_R),
            "import": lambda: session.attempt(lambda: session.annotations.load(_file())),
            "click": lambda: click(panel, qtbot, 2, 2),
        }
        for name, act in acts.items():
            panel.keys.set_add_mode(name == "click")
            session.nuclei.select(ids)
            panel.status.say("")
            act()
            assert _is_full(panel), (name, panel.status.text())
            assert _content(panel) == before, name
        assert _kept(panel, path) == before
        qtbot.waitUntil(lambda: len(session.nuclei.layer.data) == len(before[0]))
        press(panel, qtbot, Qt.Key.Key_Escape)
        (folder / "ballast").unlink()
        session.nuclei.select([7])
        press(panel, qtbot, Qt.Key.Key_Delete)
        assert len(session.annotations.to_table()) == len(before[0]) - 1
        assert _kept(panel, path) == _content(panel)
        session.rest()


def test_what_another_program_has_locked_is_refused_at_once(opened: MusePanel, qtbot: Any) -> None:
    annotations = opened.session.annotations
    opened.session.nuclei.select([1])
    with contextlib.closing(sqlite3.connect(annotations.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.perf_counter()
        press(opened, qtbot, Qt.Key.Key_2)
        assert time.perf_counter() - begun < 3, "seconds; the window would stand still for five"
        assert "another program has locked it" in opened.status.text()
        assert annotations.counts().tolist() == [3, 0]
    press(opened, qtbot, Qt.Key.Key_2)
    assert annotations.counts().tolist() == [2, 1]
