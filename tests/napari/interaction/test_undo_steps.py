"""Undo and redo by key: their effect on imports and pasted nuclei, and their messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt

from muse_core.nuclei import (
    ClassScheme,
    NamedRegion,
    NucleusFile,
    nucleus_table,
    write_csv,
    write_nuclei,
)
from napari_muse.panels.muse_panel import MusePanel

from ..actions import canvas_of, click, press

CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
SQUARE = ((10.0, 10.0), (60.0, 10.0), (60.0, 60.0), (10.0, 60.0))


def _undo(panel: MusePanel, qtbot: Any) -> str:
    press(panel, qtbot, Qt.Key.Key_Z, CTRL)
    return str(panel.status.text())


def _redo(panel: MusePanel, qtbot: Any) -> str:
    press(panel, qtbot, Qt.Key.Key_Z, CTRL | SHIFT)
    return str(panel.status.text())


def _import(panel: MusePanel, path: Path, qtbot: Any) -> None:
    panel.export.load(path)
    qtbot.waitUntil(lambda: not panel.export.busy, timeout=20_000)


def test_each_says_what_it_did(opened: MusePanel, qtbot: Any) -> None:
    click(opened, qtbot, 100, 100)
    click(opened, qtbot, 300, 200, SHIFT)
    press(opened, qtbot, Qt.Key.Key_2)
    assert opened.session.annotations.counts().tolist() == [1, 2]
    assert _undo(opened, qtbot) == "Undone: class of 2 nuclei (tumor)."
    assert opened.session.annotations.counts().tolist() == [3, 0]
    assert _undo(opened, qtbot) == "There is nothing to undo."
    assert _redo(opened, qtbot) == "Redone: class of 2 nuclei (tumor)."
    assert _redo(opened, qtbot) == "There is nothing to redo."
    qtbot.mouseClick(opened.edit.undo, Qt.MouseButton.LeftButton)
    assert opened.status.text() == "Undone: class of 2 nuclei (tumor)."


def test_what_is_out_of_view_is_said_to_be(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    session.annotations.confirm([1])
    session.annotations.add_region(SQUARE, reviewed=True, name="field 1")
    scene = session.viewer.scene
    scene.camera.zoom *= 8
    scene.camera.center = (0.0, 150.0, 190.0)
    assert _undo(opened, qtbot) == "Undone: new region field 1. That is out of view."
    assert _undo(opened, qtbot) == "Undone: confirmation of 1 nucleus. That is out of view."
    scene.camera.center = (0.0, 50.0, 50.0)
    assert _redo(opened, qtbot) == "Redone: confirmation of 1 nucleus."
    session.nuclei.layer.visible = False
    assert "nuclei are hidden" in _undo(opened, qtbot)


def test_what_is_of_a_hidden_class_is_said_to_be(opened: MusePanel, qtbot: Any) -> None:
    for key in (Qt.Key.Key_2, Qt.Key.Key_Delete):
        click(opened, qtbot, 100, 100)
        press(opened, qtbot, key)
    lymphocyte, tumor = opened.legend.shown
    tumor.click()
    hidden = " Its nuclei are of classes that are hidden; tick them to see it."
    assert _undo(opened, qtbot) == f"Undone: removal of 1 nucleus.{hidden}"
    assert _undo(opened, qtbot) == "Undone: class of 1 nucleus (tumor).", "it is seen again"
    lymphocyte.click()
    assert _redo(opened, qtbot) == f"Redone: class of 1 nucleus (tumor).{hidden}"


def test_an_import_is_one_step_and_nothing_else_goes_with_it(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    session = opened.session
    press(opened, qtbot, Qt.Key.Key_R)
    before = session.annotations.to_table()
    # A reviewed field; two of its nuclei are in the file too, with others outside it.
    table = nucleus_table([100, 200, 50], [100, 150, 250], "plasma", model="theirs")
    path = tmp_path / "n.geojson"
    write_nuclei(path, NucleusFile(table, regions=(NamedRegion(SQUARE, "theirs"),)))
    _import(opened, path, qtbot)
    assert session.annotations.counts().tolist() == [1, 0, 3]
    assert session.annotations.regions()["name"].tolist() == ["field 1", "theirs"]
    assert _undo(opened, qtbot) == "Undone: import of 3 nuclei and 1 region."
    assert session.annotations.to_table().equals(before)
    assert session.annotations.scheme.names == ("lymphocyte", "tumor")
    assert session.annotations.regions()["name"].tolist() == ["field 1"]
    assert _redo(opened, qtbot) == "Redone: import of 3 nuclei and 1 region."
    assert session.annotations.counts().tolist() == [1, 0, 3]


def test_no_nucleus_doubles_when_a_file_comes_between_undo_and_redo(
    opened: MusePanel, tmp_path: Path, qtbot: Any
) -> None:
    session = opened.session
    session.nuclei.select([1, 2, 3])
    press(opened, qtbot, Qt.Key.Key_2)
    _undo(opened, qtbot)
    write_csv(session.annotations.to_table(), tmp_path / "own.csv", 0.5)
    _import(opened, tmp_path / "own.csv", qtbot)
    assert _redo(opened, qtbot) == "There is nothing to redo."
    assert len(session.annotations.to_table()) == 3
    assert _undo(opened, qtbot) == "Undone: import of 3 nuclei."
    assert session.annotations.to_table()["id"].tolist() == [1, 2, 3]


def test_the_first_import_of_a_slide_can_be_taken_back(
    panel: MusePanel, small_slide: Path, tmp_path: Path, qtbot: Any
) -> None:
    session = panel.session
    session.viewer.open(small_slide, plugin="napari-muse")
    classes = session.annotations.scheme
    write_csv(nucleus_table([50], [50], "plasma"), tmp_path / "n.csv", 0.5)
    _import(panel, tmp_path / "n.csv", qtbot)
    assert session.annotations.scheme.names == ("plasma",)
    assert _undo(panel, qtbot) == "Undone: import of 1 nucleus."
    assert session.annotations.to_table().empty
    assert session.annotations.scheme == classes


def test_a_merge_undone_after_a_detection_brings_no_doubles(opened: MusePanel, qtbot: Any) -> None:
    annotations = opened.session.annotations
    annotations.edit_classes(lambda store: store.merge_classes("lymphocyte", "tumor"))
    annotations.adopt_scheme(type(annotations.scheme).from_names(["lymphocyte"]))
    annotations.begin_detection(annotations.present, 6.0)
    annotations.append(
        [100.25, 300], [100, 200], [annotations.class_ids[1]] * 2, [0.9, 0.9], "m", 6.0
    )
    annotations.end_detection("done")
    said = _undo(opened, qtbot)
    assert said.startswith("Undone: merge of class lymphocyte into tumor (3 nuclei).")
    assert "3 nuclei of it were left as they are, for a detection has looked there since" in said
    table = annotations.to_table()
    assert table["x"].tolist() == [100.25, 300]
    assert set(table["class_name"]) == {"lymphocyte"}
    assert annotations.scheme.names == ("tumor", "lymphocyte")


def test_nuclei_are_pasted_as_one_edit_and_not_onto_others(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    session.annotations.set_class([2], 2)
    click(opened, qtbot, 100, 100)
    click(opened, qtbot, 200, 150, SHIFT)
    press(opened, qtbot, Qt.Key.Key_C, CTRL)
    assert opened.status.text() == "2 nuclei copied."
    press(opened, qtbot, Qt.Key.Key_V, CTRL)
    assert "already" in opened.status.text()
    assert len(session.annotations.to_table()) == len(session.nuclei.layer.data) == 3
    press(opened, qtbot, Qt.Key.Key_Delete)
    entries = session.annotations.store.revision[0]
    press(opened, qtbot, Qt.Key.Key_V, CTRL)
    assert opened.status.text() == "2 nuclei pasted."
    assert session.annotations.store.revision[0] == entries + 1, "one edit"
    table = session.annotations.to_table()
    assert table["status"].tolist() == ["predicted", "added", "added"]
    assert table["class_name"].tolist() == ["lymphocyte", "lymphocyte", "tumor"]
    assert table["x"].tolist() == [300, 100, 200]
    assert session.nuclei.selected_ids.tolist() == table["id"].tolist()[1:]
    assert _undo(opened, qtbot) == "Undone: 2 new nuclei."
    assert session.annotations.to_table()["id"].tolist() == [3]
    assert len(session.nuclei.layer.data) == 1


def test_what_an_undo_took_away_just_now_is_not_copied(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    session.annotations.load(NucleusFile(nucleus_table([20.0, 40.0], [20.0, 20.0], "tumor")))
    session.nuclei.refresh()
    session.nuclei.select([3, 4, 5])
    for key in (Qt.Key.Key_Z, Qt.Key.Key_C):
        qtbot.keyClick(canvas_of(opened), key, CTRL)
    assert opened.status.text() == "1 nucleus copied."


def test_nuclei_are_pasted_on_another_slide_where_it_has_such_places(
    opened: MusePanel, cmu_slide: Path, qtbot: Any
) -> None:
    session = opened.session
    press(opened, qtbot, Qt.Key.Key_V, CTRL)
    assert "Copy some nuclei first" in opened.status.text()
    session.nuclei.select([1, 3])
    press(opened, qtbot, Qt.Key.Key_C, CTRL)
    session.viewer.open(cmu_slide, plugin="napari-muse")
    session.annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte"]))
    press(opened, qtbot, Qt.Key.Key_V, CTRL)
    table = session.annotations.to_table()
    # 0.5 um/px there, 0.499 here.
    assert table["x"].tolist() == pytest.approx([100 * 0.5 / 0.499, 300 * 0.5 / 0.499])


def test_two_clicks_at_one_place_add_one_nucleus(opened: MusePanel, qtbot: Any) -> None:
    press(opened, qtbot, Qt.Key.Key_A)
    for _ in range(2):
        click(opened, qtbot, 50, 250)
    assert len(opened.session.annotations.to_table()) == 4
    assert opened.status.text() == "There is a nucleus here already."
    assert len(opened.session.nuclei.layer.data) == 4
