from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QApplication, QMessageBox

from muse_core.nuclei import ClassScheme, read_nuclei
from napari_muse.jobs import learning
from napari_muse.panels.class_dialog import ClassDialog
from napari_muse.panels.muse_panel import MusePanel

from ..actions import answer, press

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def dialog(opened: MusePanel, qtbot: Any) -> ClassDialog:
    qtbot.mouseClick(opened.legend.edit, Qt.MouseButton.LeftButton)
    found = opened.findChild(ClassDialog)
    qtbot.waitExposed(found)
    # No widget gets the keyboard focus before, and a key press without one ends pytest.
    found.activateWindow()
    qtbot.waitUntil(found.isActiveWindow)
    return found


def _classes(panel: MusePanel) -> list[tuple[str, str]]:
    return [(c.name, c.key) for c in panel.session.annotations.store.classes.classes]


def test_renaming_is_stored_and_shown(opened: MusePanel, dialog: ClassDialog, qtbot: Any) -> None:
    dialog.table.item(0, 0).setText("plasma cell")
    assert _classes(opened) == [("plasma cell", "1"), ("tumor", "2")]
    assert opened.legend.shown[0].text() == "plasma cell"
    assert set(opened.session.annotations.to_table()["class_name"]) == {"plasma cell"}


def test_an_edit_makes_widgets_for_the_changed_class_only(
    opened: MusePanel, dialog: ClassDialog
) -> None:
    table, legend = dialog.table, opened.legend
    for _ in range(3):
        dialog.add.click()
    colors = [table.cellWidget(at, 1) for at in range(5)]
    boxes = list(legend.shown)
    dialog.set_color("tumor", "#ff0000")
    assert [table.cellWidget(at, 1) is colors[at] for at in range(5)] == [
        at != 1 for at in range(5)
    ]
    assert "#ff0000" in table.cellWidget(1, 1).styleSheet()
    assert legend.shown == boxes
    image = boxes[1].icon().pixmap(14).toImage()
    assert image.pixelColor(7, 7).name() == "#ff0000"
    dialog.table.item(1, 0).setText("stroma")
    assert (boxes[1].text(), legend.for_new[1].accessibleName()) == (
        "stroma",
        "New nuclei are stroma",
    )
    assert boxes[0].text() == "lymphocyte"


@pytest.mark.parametrize(
    ("name", "on_the_box"),
    [
        ("T&B cells", "T&&B cells"),
        ("<b>bold</b>", "<b>bold</b>"),
        ("two\nlines", "two lines"),
        ("\U0001f9ec tum\u00f6r \u4e0a\u76ae", "\U0001f9ec tum\u00f6r \u4e0a\u76ae"),
        ("a,b", "a,b"),
        ("=1+1", "=1+1"),
    ],
)
def test_odd_names_are_shown_as_they_are(
    opened: MusePanel, dialog: ClassDialog, qtbot: Any, name: str, on_the_box: str
) -> None:
    dialog.table.item(0, 0).setText(name)
    box = opened.legend.shown[0]
    assert _classes(opened)[0] == (name, "1")
    assert box.text() == on_the_box
    tip = QTextDocument()
    (tip.setHtml if "<" in name else tip.setPlainText)(box.toolTip())
    assert tip.toPlainText() == f"Show or hide the nuclei of class {name}"
    opened.session.nuclei.select([1])
    press(opened, qtbot, Qt.Key.Key_1)
    press(opened, qtbot, Qt.Key.Key_Z, CTRL)
    assert opened.status.text().startswith("Undone")
    assert opened.legend.total.textFormat() == Qt.TextFormat.PlainText


@pytest.mark.parametrize("ending", ["csv", "geojson", "parquet", "h5ad"])
def test_odd_names_come_through_files(
    opened: MusePanel, dialog: ClassDialog, qtbot: Any, tmp_path: Path, ending: str
) -> None:
    names = ['two\nlines, "q"; \U0001f9ec tum\u00f6r\t<b>', "=1+1", "x" * 500]
    for name in names:
        dialog.table.item(0, 0).setText(f"  {name} ")
        path = tmp_path / f"out.{ending}"
        opened.export.save(path)
        qtbot.waitUntil(lambda: not opened.export.busy, timeout=60_000)
        assert set(read_nuclei(path).table["class_name"]) == {name}


def test_a_new_class_has_a_free_key_that_works(
    opened: MusePanel, dialog: ClassDialog, qtbot: Any
) -> None:
    qtbot.mouseClick(dialog.add, Qt.MouseButton.LeftButton)
    assert _classes(opened)[2] == ("class 1", "3")
    dialog.close()
    opened.session.nuclei.select([2])
    press(opened, qtbot, Qt.Key.Key_3)
    assert opened.session.annotations.counts().tolist() == [2, 0, 1]


def test_keys_change_places(opened: MusePanel, dialog: ClassDialog, qtbot: Any) -> None:
    dialog.table.cellWidget(0, 2).textActivated.emit("2")
    assert _classes(opened) == [("lymphocyte", "2"), ("tumor", "1")]


def test_merging_and_undoing_it(opened: MusePanel, dialog: ClassDialog, qtbot: Any) -> None:
    opened.session.annotations.set_class([3], 2)
    qtbot.mouseClick(dialog.merge, Qt.MouseButton.LeftButton)
    assert "Choose the class" in dialog.message.text()
    dialog.table.selectRow(1)
    dialog.into.setCurrentText("lymphocyte")
    qtbot.mouseClick(dialog.merge, Qt.MouseButton.LeftButton)
    assert "1 nucleus becomes lymphocyte" in answer(dialog, qtbot, agree=True)
    assert _classes(opened) == [("lymphocyte", "1")]
    assert opened.session.annotations.counts().tolist() == [3]
    dialog.close()
    press(opened, qtbot, Qt.Key.Key_Z, CTRL)
    assert opened.session.annotations.counts().tolist() == [2, 1]
    assert [box.text() for box in opened.legend.shown] == ["lymphocyte", "tumor"]


def test_an_open_list_of_keys_stays_open_while_nuclei_are_found(
    opened: MusePanel, dialog: ClassDialog, qtbot: Any
) -> None:
    key = dialog.table.cellWidget(0, 2)
    key.showPopup()
    qtbot.waitUntil(lambda: QApplication.activePopupWidget() is not None)
    opened.session.annotations.append([50.0], [60.0], [1], [0.9], "m", 6.0)
    assert dialog.table.item(0, 3).text() == "4"
    assert dialog.table.cellWidget(0, 2) is key
    qtbot.keyClick(key.view(), Qt.Key.Key_Down)
    qtbot.keyClick(key.view(), Qt.Key.Key_Return)
    assert _classes(opened) == [("lymphocyte", "2"), ("tumor", "1")]


def test_a_question_says_the_name_as_it_is(
    opened: MusePanel, dialog: ClassDialog, qtbot: Any
) -> None:
    dialog.table.item(0, 0).setText("B & T cells")
    dialog.table.selectRow(1)
    dialog.into.setCurrentText("B & T cells")
    qtbot.mouseClick(dialog.merge, Qt.MouseButton.LeftButton)
    (box,) = dialog.findChildren(QMessageBox)
    # Where & stands once, Qt underlines what follows in its place.
    assert "Merge into B && T cells" in [button.text() for button in box.buttons()]
    answer(dialog, qtbot, agree=False)


def test_an_edit_fills_the_table_once(opened: MusePanel, dialog: ClassDialog) -> None:
    seen: list[Any] = []
    opened.session.annotations_changed.connect(lambda: seen.append(dialog.table.cellWidget(0, 1)))
    dialog.set_color("lymphocyte", "#ff0000")
    assert len(seen) > 1
    assert len(set(map(id, seen))) == 1


def test_merging_twice_in_a_row_merges_no_second_class(
    opened: MusePanel, dialog: ClassDialog, qtbot: Any
) -> None:
    for _ in range(2):
        qtbot.mouseClick(dialog.add, Qt.MouseButton.LeftButton)
    names = ["lymphocyte", "tumor", "class 1", "class 2"]
    dialog.table.selectRow(1)
    dialog.into.setCurrentText("class 2")
    qtbot.mouseClick(dialog.merge, Qt.MouseButton.LeftButton)
    assert "0 nuclei become class 2" in answer(dialog, qtbot, agree=False)
    assert [name for name, _ in _classes(opened)] == names
    assert dialog.table.selectionModel().selectedRows()[0].row() == 1, "the choice stays"
    assert dialog.into.currentText() == "class 2"
    qtbot.mouseClick(dialog.merge, Qt.MouseButton.LeftButton)
    answer(dialog, qtbot, agree=True)
    qtbot.mouseClick(dialog.merge, Qt.MouseButton.LeftButton)
    assert not dialog.findChildren(QMessageBox)
    assert "into which class" in dialog.message.text()
    assert [name for name, _ in _classes(opened)] == ["lymphocyte", "class 1", "class 2"]
    qtbot.keyClick(dialog, Qt.Key.Key_Z, CTRL)
    assert dialog.message.text() == "Undone: merge of class tumor into class 2 (0 nuclei)."
    assert [name for name, _ in _classes(opened)] == names
    qtbot.mouseClick(dialog.redo, Qt.MouseButton.LeftButton)
    assert [name for name, _ in _classes(opened)] == ["lymphocyte", "class 1", "class 2"]
    qtbot.mouseClick(dialog.undo, Qt.MouseButton.LeftButton)
    assert [name for name, _ in _classes(opened)] == names


def test_keys_that_change_places_go_back_together(
    opened: MusePanel, dialog: ClassDialog, qtbot: Any
) -> None:
    dialog.table.cellWidget(0, 2).textActivated.emit("2")
    qtbot.mouseClick(dialog.undo, Qt.MouseButton.LeftButton)
    assert _classes(opened) == [("lymphocyte", "1"), ("tumor", "2")]


def test_a_colour_is_seen_at_once(opened: MusePanel, dialog: ClassDialog, qtbot: Any) -> None:
    dialog.set_color("lymphocyte", "#ff0000")
    qtbot.wait(200)
    colors = opened.session.nuclei.layer.border_color
    assert colors[0].tolist() == pytest.approx([1, 0, 0, 1])


def test_red_and_green_classes_get_colours_to_tell_them_apart(
    opened: MusePanel, dialog: ClassDialog, qtbot: Any
) -> None:
    annotations = opened.session.annotations
    before = [c.color for c in annotations.scheme.classes]
    qtbot.mouseClick(dialog.distinct, Qt.MouseButton.LeftButton)
    assert [c.color for c in annotations.scheme.classes] == ["#0072b2", "#d55e00"] != before
    qtbot.mouseClick(dialog.distinct, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(dialog.undo, Qt.MouseButton.LeftButton)
    assert [c.color for c in annotations.scheme.classes] == before, "one edit, and no empty one"


def test_return_twice_renames_and_adds_no_class(
    opened: MusePanel, dialog: ClassDialog, qtbot: Any
) -> None:
    dialog.table.setFocus()
    dialog.table.setCurrentCell(0, 0)
    qtbot.keyClick(dialog.table, Qt.Key.Key_F2)
    qtbot.keyClicks(QApplication.focusWidget(), "plasma cell")
    for _ in range(2):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)
    dialog.into.setFocus()
    qtbot.keyClick(dialog.into, Qt.Key.Key_Enter)
    assert _classes(opened) == [("plasma cell", "1"), ("tumor", "2")]
    assert dialog.isVisible()
    dialog.add.setFocus()
    qtbot.keyClick(dialog.add, Qt.Key.Key_Return)
    assert len(_classes(opened)) == 3


def test_the_keyboard_reaches_each_part(dialog: ClassDialog, qtbot: Any) -> None:
    dialog.table.setFocus()
    reached = []
    for _ in range(12):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        reached.append(QApplication.focusWidget())
    cells = [dialog.table.cellWidget(row, column) for row in (0, 1) for column in (1, 2)]
    outside = [
        dialog.add, dialog.distinct, dialog.undo, dialog.redo, dialog.merge, dialog.into,
    ]  # fmt: skip
    assert reached[-1] is dialog.table
    assert set(cells) | set(outside) <= set(reached)


def test_two_classes_of_one_name_are_refused(opened: MusePanel, dialog: ClassDialog) -> None:
    dialog.table.item(0, 0).setText("tumor")
    assert _classes(opened) == [("lymphocyte", "1"), ("tumor", "2")]
    assert dialog.table.item(0, 0).text() == "lymphocyte"
    assert dialog.message.text() == "Names of classes must differ; two are called tumor."


def test_tab_shows_one_class_after_the_other(opened: MusePanel, qtbot: Any) -> None:
    opened.session.annotations.set_class([3], 2)
    shown = []
    for _ in range(4):
        press(opened, qtbot, Qt.Key.Key_Tab)
        shown.append(sorted(opened.session.nuclei.shown_ids.tolist()))
    assert shown == [[1, 2], [3], [1, 2, 3], [1, 2]]


def test_a_models_other_classes_are_mapped_first(
    panel: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    panel.session.viewer.open(small_slide, plugin="napari-muse")
    annotations = panel.session.annotations
    annotations.adopt_scheme(ClassScheme.from_names(["inflammatory", "epithelial"]))
    annotations.add(390, 290, 1)
    panel.detect.place.setCurrentIndex(panel.detect.place.findData("slide"))
    qtbot.mouseClick(panel.detect.start, Qt.MouseButton.LeftButton)
    dialog = panel.detect.mapping_dialog
    assert not panel.detection.running
    assert list(dialog.choices) == ["lymphocyte", "stromal", "tumor"]
    dialog.choices["lymphocyte"].setCurrentText("inflammatory")
    dialog.choices["tumor"].setCurrentText("epithelial")
    assert dialog.choices["stromal"].currentText() == "new class “stromal”"
    dialog.accept()
    qtbot.waitUntil(lambda: not panel.detection.running, timeout=300_000)
    assert annotations.scheme.names == ("inflammatory", "epithelial", "stromal")


def test_what_classes_became_on_a_slide_is_of_no_account_on_another(
    opened: MusePanel,
    cmu_slide: Path,
    tmp_path: Path,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learning, "user_model_folder", lambda: tmp_path / "models")
    model = opened.detect.model.currentData()
    opened.session.class_maps.keep(opened.session.slide, model, {"stromal": "lymphocyte"})
    first = opened.session.image_layer
    opened.session.viewer.open(cmu_slide, plugin="napari-muse")
    annotations = opened.session.annotations
    annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte", "stromal"]))
    for i in range(12):
        annotations.add(100 + 10 * i, 100, 1)
    annotations.add_region([(50, 50), (400, 50), (400, 150), (50, 150)], reviewed=True)
    specs: list[dict[str, Any]] = []
    monkeypatch.setattr(opened.learning.runner, "start", specs.append)
    counted: list[Any] = []
    opened.learning.count(counted.append, pytest.fail)
    qtbot.waitUntil(lambda: bool(counted), timeout=60_000)
    opened.learning.start(model, "adapt", "cpu", *counted)
    assert specs[0]["config"]["class_map"] == {}, "here stromal is stromal"
    opened.session.viewer.layers.selection.active = first
    assert opened.session.class_maps.of_file(opened.session.slide, model) == {
        "stromal": "lymphocyte"
    }
