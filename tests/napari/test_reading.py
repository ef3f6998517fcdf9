"""The window while the nuclei of a large store are being read."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NucleusFile, nucleus_table, write_nuclei
from muse_core.nuclei.store import StorePlace
from napari_muse.annotations.nucleus_arrays import NucleusArrays
from napari_muse.annotations.row_reading import RowReading
from napari_muse.panels.muse_panel import MusePanel

from .actions import click, press

N = 30_100


@pytest.fixture(name="may_read")
def _may_read(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Event before which no store is read."""
    may_read, read = threading.Event(), RowReading.read

    def wait_and_read(self: RowReading) -> NucleusArrays:
        assert may_read.wait(60)
        return read(self)

    monkeypatch.setattr(RowReading, "read", wait_and_read)
    return may_read


@pytest.fixture(name="many")
def _many(small_slide: Path) -> Path:
    """The small slide, with a store of many nuclei."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 200, N), rng.uniform(0, 300, N)
    with StorePlace.of(small_slide).create(ClassScheme.from_names(["a", "b"])) as store:
        store.insert(nucleus_table(x, y, ["a"] * N, model="m"))
    return small_slide


def test_the_window_is_used_while_nuclei_are_read(
    panel: MusePanel, many: Path, may_read: threading.Event, tmp_path: Path, qtbot: Any
) -> None:
    session, dropped = panel.session, tmp_path / "dropped.geojson"
    write_nuclei(dropped, NucleusFile(nucleus_table([300.5], [250.5], ["b"])))
    session.viewer.open(many, plugin="napari-muse")
    session.viewer.open(dropped, plugin="napari-muse")
    assert session.annotations.reading
    assert "being read" in panel.legend.total.text()
    for key in (Qt.Key.Key_R, Qt.Key.Key_N):
        panel.status.say("")
        press(panel, qtbot, key)
        assert "still being read" in panel.status.text()
    press(panel, qtbot, Qt.Key.Key_A)
    panel.status.say("")
    click(panel, qtbot, 250, 150)
    assert "still being read" in panel.status.text()
    press(panel, qtbot, Qt.Key.Key_Escape)
    with pytest.raises(UserError, match="still being read"):
        session.viewer.layers.save(str(tmp_path / "saved.csv"), plugin="napari")
    assert len(session.nuclei.layer.data) == 0
    may_read.set()
    qtbot.waitUntil(lambda: not session.annotations.reading, timeout=60_000)
    qtbot.waitUntil(lambda: f"{N + 1:,} nuclei" in panel.legend.total.text(), timeout=60_000)
    assert session.annotations.counts().tolist() == [N, 1]
    # Its image has a name once there is something to show.
    layers = session.viewer.layers
    qtbot.waitUntil(lambda: "Density: a" in layers and layers["Density: a"].visible, timeout=60_000)
    active = session.viewer.layers.selection.active
    assert active in (session.nuclei.layer, session.image_layer)


def test_a_slide_closed_while_its_nuclei_are_read_has_them_when_it_is_opened_again(
    panel: MusePanel, many: Path, may_read: threading.Event, qtbot: Any
) -> None:
    session = panel.session
    session.viewer.open(many, plugin="napari-muse")
    session.viewer.layers.remove(session.image_layer)
    assert len(session.annotations.rows) == 0
    session.viewer.open(many, plugin="napari-muse")
    assert session.annotations.reading
    may_read.set()
    qtbot.waitUntil(lambda: not session.annotations.reading, timeout=60_000)
    assert len(session.annotations.rows) == N
    press(panel, qtbot, Qt.Key.Key_R)
    assert "still being read" not in panel.status.text()


def test_several_processes_read_what_one_reads(
    panel: MusePanel, many: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_muse.annotations.row_reading._ROWS_OF_PROCESS", N // 4)
    session = panel.session
    session.viewer.open(many, plugin="napari-muse")
    qtbot.waitUntil(lambda: not session.annotations.reading, timeout=60_000)
    rows = session.annotations.rows
    assert rows.tobytes() == session.annotations.store.rows().tobytes()
    session.annotations.set_class([1, N], 2)
    assert session.annotations.counts().tolist() == [N - 2, 2]


def test_dropped_nuclei_wait_for_their_slide_although_another_is_shown(
    panel: MusePanel, many: Path, may_read: threading.Event, tmp_path: Path, qtbot: Any
) -> None:
    session, dropped = panel.session, tmp_path / "dropped.csv"
    dropped.write_text("x,y,class\n300.5,250.5,b\n")
    session.viewer.open(many, plugin="napari-muse")
    first, of_first = session.image_layer, session.annotations
    session.viewer.open(dropped, plugin="napari-muse")
    other = many.with_name("other.tif")
    other.write_bytes(many.read_bytes() + b"other")
    session.viewer.open(other, plugin="napari-muse")
    may_read.set()
    qtbot.waitUntil(lambda: not of_first.reading, timeout=60_000)
    assert session.annotations is not of_first
    assert not session.annotations.has_file
    first.visible = True
    qtbot.waitUntil(lambda: session.annotations.counts().tolist() == [N, 1], timeout=60_000)
    qtbot.waitUntil(lambda: "dropped" not in session.viewer.layers)
