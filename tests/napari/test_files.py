"""Saving nuclei from the window and importing those of files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication, QProgressDialog, QPushButton

from muse_core.nuclei import (
    ClassScheme,
    NamedRegion,
    NucleusFile,
    nucleus_table,
    read_nuclei,
    write_csv,
    write_nuclei,
)
from muse_core.nuclei.store import AnnotationStore
from napari_muse.panels.muse_panel import MusePanel

from ..small_disk import fill, small_disk
from .actions import press

SQUARE = ((10.0, 10.0), (60.0, 10.0), (60.0, 60.0), (10.0, 60.0))


def _save(panel: MusePanel, path: Path, qtbot: Any) -> str:
    panel.export.save(path)
    qtbot.waitUntil(lambda: not panel.export.busy, timeout=20_000)
    return str(panel.export.message.text())


def _load(panel: MusePanel, path: Path, qtbot: Any) -> str:
    panel.export.load(path)
    qtbot.waitUntil(lambda: not panel.export.busy, timeout=20_000)
    return str(panel.export.message.text())


@pytest.mark.parametrize("suffix", [".csv", ".geojson", ".geojson.gz", ".parquet", ".h5ad"])
def test_what_is_saved_can_be_taken_over_elsewhere(
    opened: MusePanel, tmp_path: Path, qtbot: Any, suffix: str
) -> None:
    session = opened.session
    session.annotations.set_class([1], 2)
    session.annotations.add_region(SQUARE, reviewed=True, name="field")
    path = tmp_path / f"out{suffix}"
    assert "3 nuclei saved" in _save(opened, path, qtbot)
    content = read_nuclei(path)
    assert content.table["x"].tolist() == pytest.approx([100, 200, 300])
    assert content.table["status"].tolist() == ["corrected", "predicted", "predicted"]
    before = session.annotations.to_table().drop(columns="id")
    session.annotations.store.begin_detection([1, 2, 3], 1.0)
    session.annotations.store.end_detection("done")
    session.annotations.end_detection("cancelled")  # none is running: only reads again
    assert session.annotations.to_table().empty
    assert "3 nuclei taken over" in _load(opened, path, qtbot)
    after = session.annotations.to_table().drop(columns="id")
    pd.testing.assert_frame_equal(after, before)
    assert len(session.annotations.regions()) == 1


@pytest.mark.parametrize("suffix", [".geojson", ".parquet", ".h5ad"])
def test_regions_alone_are_taken_over_on_a_slide_without_annotations(
    panel: MusePanel, small_slide: Path, tmp_path: Path, qtbot: Any, suffix: str
) -> None:
    session = panel.session
    session.viewer.open(small_slide, plugin="napari-muse")
    known = session.annotations.scheme
    path = tmp_path / f"r{suffix}"
    region = NamedRegion(SQUARE, "left")
    write_nuclei(path, NucleusFile(nucleus_table([], [], []), None, 0.5, (region,)))
    assert "Nothing" not in _load(panel, path, qtbot)
    assert session.annotations.regions()["name"].tolist() == ["left"]
    assert session.annotations.scheme == known
    assert session.annotations.store.classes == known
    # Everything else works as on any other slide.
    session.annotations.add(100, 100, 1)
    assert session.annotations.to_table()["class_name"].tolist() == [known.names[0]]
    session.annotations.undo()
    assert len(session.annotations.to_table()) == 0


def test_a_file_of_nothing_leaves_nothing_behind(
    panel: MusePanel, small_slide: Path, tmp_path: Path, qtbot: Any
) -> None:
    panel.session.viewer.open(small_slide, plugin="napari-muse")
    write_nuclei(tmp_path / "n.geojson", NucleusFile(nucleus_table([], [], [])))
    assert "0 nuclei taken over" in _load(panel, tmp_path / "n.geojson", qtbot)
    assert not panel.session.annotations.has_file


def test_what_was_left_out_of_a_dropped_file_is_said_in_one(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    features = [
        {"type": "Feature", "geometry": {"type": kind, "coordinates": place}, "properties": {}}
        for kind, place in (("Point", [150, 50]), ("Point", []), ("Point", ["a", 1]))
    ]
    path = tmp_path / "n.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    opened.session.viewer.open(path, plugin="napari-muse")
    qtbot.wait(50)
    assert len(opened.session.annotations.to_table()) == 4
    said = opened.status.text()
    assert "1 object without a place was left out (first: features[1])" in said
    assert "left out (first: features[2])" in said


def test_a_file_dropped_on_the_window_is_taken_over(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "others.geojson"
    scheme = ClassScheme.from_json([{"name": "plasma", "color": "#123456", "key": "9"}])
    table = nucleus_table([50, 350], [50, 250], "plasma", score=[0.5, 0.25])
    write_nuclei(path, NucleusFile(table, scheme, regions=(NamedRegion(SQUARE, "margin"),)))
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(400, 300), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    opened.session.viewer.window._qt_viewer.dropEvent(event)
    qtbot.waitUntil(lambda: len(opened.session.annotations.rows) == 5, timeout=60_000)
    assert opened.session.annotations.counts().tolist() == [3, 0, 2]
    assert opened.session.annotations.regions()["name"].tolist() == ["margin"]
    qtbot.wait(100)
    assert "others" not in opened.session.viewer.layers, "its own layer has done its duty"


def test_outlines_can_be_nuclei(opened: MusePanel, tmp_path: Path, qtbot: Any) -> None:
    path = tmp_path / "cells.geojson"
    path.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type":'
        ' "Polygon", "coordinates": [[[40, 40], [60, 40], [60, 60], [40, 60], [40, 40]]]},'
        ' "properties": {"objectType": "annotation", "classification": {"name": "tumor"}}}]}'
    )
    said = _load(opened, path, qtbot)
    assert said.startswith(
        "1 region taken over. 1 outline is an annotation and was read as a region;"
    )
    assert len(opened.session.annotations.regions()) == 1
    opened.export.outlines.setChecked(True)
    assert "1 nucleus taken over" in _load(opened, path, qtbot)
    row = opened.session.annotations.to_table().iloc[-1]
    assert (row["x"], row["y"], row["class_name"]) == (50, 50, "tumor")
    assert row["status"] == "predicted"


def test_what_cannot_be_read_or_written_gets_a_sentence(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    assert _save(opened, tmp_path / "no" / "out.csv", qtbot).startswith("Cannot write")
    assert _save(opened, tmp_path / "out.docx", qtbot).endswith(".")
    assert not list(tmp_path.glob("out*"))
    broken = tmp_path / "broken.geojson"
    broken.write_text('{"type": "FeatureCollection", "features": [')
    assert "broken.geojson" in _load(opened, broken, qtbot)
    assert opened.export.button.isEnabled()
    assert len(opened.session.annotations.rows) == 3


@pytest.mark.parametrize("name", ["o.csv", "o.geojson", "o.parquet", "o.h5ad"])
def test_on_a_full_disk_nothing_is_left_and_the_window_says_why(
    opened: MusePanel, tmp_path: Path, qtbot: Any, name: str
) -> None:
    with small_disk(tmp_path / "full") as folder:
        fill(folder)
        said = _save(opened, folder / name, qtbot)
        assert said == f"Cannot write {folder / name}: No space left on device."
        assert [p.name for p in folder.iterdir()] == ["ballast"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_saved_through(opened: MusePanel, tmp_path: Path, qtbot: Any) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "o.csv").symlink_to("real/o.csv")
    assert "3 nuclei saved" in _save(opened, tmp_path / "o.csv", qtbot)
    assert (tmp_path / "o.csv").is_symlink()
    assert len(read_nuclei(tmp_path / "real" / "o.csv").table) == 3


def test_without_a_slide_or_nuclei_there_is_nothing_to_save(
    panel: MusePanel, small_slide: Path, tmp_path: Path
) -> None:
    panel.export.save(tmp_path / "out.csv")
    assert "Open a slide first" in panel.status.text()
    panel.session.viewer.open(small_slide, plugin="napari-muse")
    panel.export.save(tmp_path / "out.csv")
    assert "no nuclei to save yet" in panel.export.message.text()
    assert not list(tmp_path.glob("out*"))


def test_a_file_goes_to_the_slide_it_was_imported_on(
    opened: MusePanel, cmu_slide: Path, tmp_path: Path, qtbot: Any
) -> None:
    first = opened.session.annotations
    table = first.to_table()
    table["x"] += 20
    write_csv(table, tmp_path / "more.csv", 0.5)
    opened.export.load(tmp_path / "more.csv")
    opened.session.viewer.open(cmu_slide, plugin="napari-muse")
    qtbot.waitUntil(lambda: not opened.export.busy, timeout=60_000)
    assert len(first.rows) == 6
    assert len(opened.session.annotations.rows) == 0


def test_a_slide_that_was_closed_gets_its_file_and_is_let_go(
    opened: MusePanel, annotations_folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    table = opened.session.annotations.to_table()
    table["x"] += 20
    write_csv(table, tmp_path / "more.csv", 0.5)
    opened.export.load(tmp_path / "more.csv")
    opened.session.viewer.layers.remove(opened.session.image_layer)
    qtbot.waitUntil(lambda: not opened.export.busy, timeout=60_000)
    with AnnotationStore.open(next(annotations_folder.glob("*.muse"))) as store:
        assert not store.read_only, "another window can edit it"
        assert len(store.nuclei()) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps files that are open in place")
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_what_is_shown_can_be_saved_where_its_annotations_are_lost(
    opened: MusePanel, tmp_path: Path, qtbot: Any, how: str
) -> None:
    annotations = opened.session.annotations
    annotations.add_region(SQUARE, reviewed=True, name="field")
    path = annotations.path
    if how == "deleted":
        path.unlink()
    else:
        of, classes = annotations.store.slide, annotations.scheme
        with AnnotationStore.create(tmp_path / "other.muse", of, classes) as other:
            other.add_many([5.0], [5.0], [1])
        (tmp_path / "other.muse").replace(path)
    opened.session.nuclei.select([1])
    press(opened, qtbot, Qt.Key.Key_2)
    assert "export what is shown" in opened.status.text()
    assert "3 nuclei saved" in _save(opened, tmp_path / "shown.geojson", qtbot)
    saved = read_nuclei(tmp_path / "shown.geojson")
    assert sorted(saved.table["x"]) == pytest.approx([100, 200, 300])
    assert [region.name for region in saved.regions] == ["field"]


def test_nuclei_of_hidden_classes_are_saved_and_said_to_be(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    opened.session.annotations.set_class([1], 2)
    before = _save(opened, tmp_path / "all.csv", qtbot)
    opened.legend.shown[1].click()
    said = _save(opened, tmp_path / "all.csv", qtbot)
    assert said == f"{before} Nuclei of hidden classes are among them."
    assert len(read_nuclei(tmp_path / "all.csv").table) == 3


def test_what_is_saved_during_a_detection_is_said_to_be_a_part(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    annotations = opened.session.annotations
    annotations.begin_detection(np.array([True, False, False]), 6.0)
    opened.export.save(tmp_path / "part.csv")
    qtbot.waitUntil(lambda: not opened.export.busy, timeout=60_000)
    assert len(read_nuclei(tmp_path / "part.csv").table) == 2
    assert "A detection is running: what it has yet to find" in opened.export.message.text()
    annotations.end_detection("cancelled")
    opened.export.save(tmp_path / "whole.csv")
    qtbot.waitUntil(lambda: not opened.export.busy, timeout=60_000)
    assert len(read_nuclei(tmp_path / "whole.csv").table) == 3
    assert "detection" not in opened.export.message.text()


def test_nothing_is_taken_over_during_a_detection(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    write_csv(opened.session.annotations.to_table(), tmp_path / "more.csv", 0.5)
    opened.session.annotations.begin_detection(np.zeros(3, dtype=bool), 6.0)
    assert _load(opened, tmp_path / "more.csv", qtbot) == "Nothing was taken over."
    assert "detection is running" in opened.status.text()
    opened.session.annotations.end_detection("done")
    assert "3 nuclei taken over" in _load(opened, tmp_path / "more.csv", qtbot)


def test_annotations_that_can_only_be_nuclei_are_not_made_regions(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    x = np.arange(1001) % 300
    cells = [NamedRegion(((i, 0), (i + 1, 0), (i, 1))) for i in x.tolist()]
    path = tmp_path / "cells.geojson"
    write_nuclei(path, NucleusFile(nucleus_table([], [], []), regions=tuple(cells)))
    assert _load(opened, path, qtbot) == "Nothing was taken over."
    assert "tick “Outlines of annotations are nuclei”" in opened.status.text()
    assert opened.session.annotations.regions().empty


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GeoJSON of 250,000 nuclei, which takes seconds to read."""
    feature = (
        b'{"type":"Feature","geometry":{"type":"Point","coordinates":[%d,50]},"properties":{}}'
    )
    path = tmp_path_factory.mktemp("long") / "long.geojson"
    path.write_bytes(b"[" + b",".join(feature % (i % 400) for i in range(250_000)) + b"]")
    return path


def test_an_import_can_be_cancelled(opened: MusePanel, long_file: Path, qtbot: Any) -> None:
    files = opened.export
    assert files.cancel.isHidden()
    files.load(long_file)
    assert not files.cancel.isHidden()
    assert not files.open.isEnabled()
    qtbot.mouseClick(files.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not files.busy, timeout=20_000)
    assert files.message.text() == "Reading long.geojson was cancelled."
    assert files.open.isEnabled()
    assert files.cancel.isHidden()
    assert len(opened.session.annotations.rows) == 3
    # The next one is not cancelled too.
    write_csv(opened.session.annotations.to_table(), long_file.with_name("more.csv"), 0.5)
    assert "3 nuclei taken over" in _load(opened, long_file.with_name("more.csv"), qtbot)


def test_a_dropped_file_can_be_cancelled_while_the_window_lives(
    opened: MusePanel, long_file: Path, qtbot: Any
) -> None:
    seen = []

    def cancel_it() -> None:
        for dialog in QApplication.topLevelWidgets():
            if isinstance(dialog, QProgressDialog) and dialog.isVisible():
                seen.append(dialog.labelText())
                button = dialog.findChild(QPushButton)
                qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    timer = QTimer()
    timer.timeout.connect(cancel_it)
    timer.start(50)
    layers = opened.session.viewer.open(long_file, plugin="napari-muse")
    timer.stop()
    assert layers == []
    assert seen[0] == "Reading long.geojson …"
    assert len(opened.session.annotations.rows) == 3
    assert not [
        w
        for w in QApplication.topLevelWidgets()
        if isinstance(w, QProgressDialog) and w.isVisible()
    ]
