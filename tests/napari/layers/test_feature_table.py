"""Classes that a person gives in napari's own table of features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from napari.viewer import Viewer
from qtpy.QtCore import Qt

from muse_core.nuclei import NucleusFile, Status, nucleus_table
from muse_core.nuclei.store import AnnotationStore
from napari_muse.panels.muse_panel import MusePanel

from ..actions import press

_CLASS, _SCORE, _STATUS = 1, 2, 3


@pytest.fixture
def table(make_napari_viewer: Callable[..., Viewer], opened: MusePanel) -> Any:
    """napari's table with the features of the three nuclei, which can be edited."""
    viewer = opened.session.viewer
    _, table = viewer.window.add_plugin_dock_widget("napari", "Features table widget")
    viewer.layers.selection.active = opened.session.nuclei.layer
    table.toggle.setChecked(True)
    return table.table.model().sourceModel()


def _type(table: Any, row: int, column: int, text: str) -> None:
    assert table.setData(table.index(row, column), text)


def test_a_class_that_is_typed_is_given_once_another_row_is_chosen(
    table: Any, opened: MusePanel, qtbot: Any
) -> None:
    session = opened.session
    _type(table, 1, _CLASS, "tumor")
    session.nuclei.layer.selected_data = {2}
    rows = session.annotations.rows
    assert rows["class_id"].tolist() == [1, 2, 1]
    assert rows["status"].tolist() == [Status.PREDICTED, Status.CORRECTED, Status.PREDICTED]
    qtbot.waitUntil(lambda: table.df["status"].tolist()[1] == "corrected", timeout=5000)
    press(opened, qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert session.annotations.rows["class_id"].tolist() == [1, 1, 1]


def test_the_table_has_the_nuclei_that_are_there(table: Any, opened: MusePanel, qtbot: Any) -> None:
    opened.session.nuclei.select([1])
    press(opened, qtbot, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: len(table.df) == 2, timeout=5000)
    assert table.df["score"].tolist() == pytest.approx([0.8, 0.7])


def test_what_was_done_since_counts(table: Any, opened: MusePanel, qtbot: Any) -> None:
    opened.session.nuclei.select([2])
    _type(table, 1, _CLASS, "tumor")
    press(opened, qtbot, Qt.Key.Key_Delete)
    assert opened.session.annotations.rows["status"][1] == Status.DELETED


@pytest.mark.parametrize(
    ("column", "text", "said"),
    [(_SCORE, "0.1", "only the class"), (_STATUS, "confirmed", "only the class")],
)
def test_nothing_else_can_be_changed(
    table: Any, opened: MusePanel, qtbot: Any, column: int, text: str, said: str
) -> None:
    before = table.df.copy()
    _type(table, 0, column, text)
    opened.session.nuclei.layer.selected_data = {2}
    assert said in opened.status.text()
    qtbot.waitUntil(lambda: table.df.equals(before), timeout=5000)
    assert opened.session.annotations.rows["status"].tolist() == [Status.PREDICTED] * 3


def test_a_class_that_there_is_not_is_refused(opened: MusePanel, qtbot: Any) -> None:
    layer = opened.session.nuclei.layer
    layer.features = layer.features.assign(**{"class": ["lymphocyte", "plasma", "tumor"]})
    opened.session.nuclei.refresh()
    assert "There is no class plasma" in opened.status.text()
    qtbot.waitUntil(lambda: layer.features["class"].tolist() == ["lymphocyte"] * 3, timeout=5000)
    assert opened.session.annotations.rows["class_id"].tolist() == [1, 1, 1]


def test_a_class_of_nuclei_that_an_undo_took_away_just_now_is_no_edit(
    panel: MusePanel, small_slide: Path
) -> None:
    session = panel.session
    session.viewer.open(small_slide, plugin="napari-muse")
    session.annotations.load(NucleusFile(nucleus_table([20.0, 40.0], [20.0, 20.0], ["a", "b"])))
    session.nuclei.refresh()
    session.nuclei.layer.features.loc[0, "class"] = "b"
    session.annotations.undo()
    session.nuclei.refresh()
    assert len(session.nuclei.layer.data) == len(session.annotations.rows) == 0


def test_what_was_typed_last_is_kept_when_the_panel_is_closed(
    opened: MusePanel, annotations_folder: Any
) -> None:
    layer = opened.session.nuclei.layer
    layer.features.iloc[0, 0] = "tumor"
    opened.release()
    with AnnotationStore.open(next(annotations_folder.glob("*.muse")), read_only=True) as store:
        assert store.rows()["class_id"].tolist() == [2, 1, 1]
