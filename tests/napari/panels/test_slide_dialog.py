"""Dialogs about a slide end when another is shown, which they would change otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QApplication,
    QColorDialog,
    QDialogButtonBox,
    QFileDialog,
    QMessageBox,
    QWidget,
)

from muse_core.nuclei import ClassScheme
from napari_muse.panels.class_dialog import ClassDialog
from napari_muse.panels.mapping_dialog import MappingDialog
from napari_muse.panels.muse_panel import MusePanel

from ..actions import use_window, when_asked

LEFT = Qt.MouseButton.LeftButton
SQUARE = ((10.0, 10.0), (60.0, 10.0), (60.0, 60.0), (10.0, 60.0))


@pytest.fixture
def other(opened: MusePanel, small_slide: Path) -> Path:
    """Another slide with the same classes and nuclei as the open one, which is shown."""
    path, session = small_slide.with_name("other.tif"), opened.session
    path.write_bytes(small_slide.read_bytes() + b"other")
    first = session.image_layer
    session.viewer.open(path, plugin="napari-muse")
    session.annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte", "tumor"]))
    session.annotations.append([100, 200], [100, 150], [1, 2], [0.9, 0.8], "m", 6.0)
    first.visible = True
    return path


def _show(panel: MusePanel, path: Path) -> None:
    layers = panel.session.viewer.layers
    next(x for x in layers if x.name == path.name).visible = True
    assert panel.session.require_slide().path == path


def test_the_dialog_of_classes_ends_with_its_question(
    opened: MusePanel, other: Path, qtbot: Any
) -> None:
    asked_about = opened.session.annotations
    dialog = opened.legend.edit_classes()
    dialog.table.selectRow(1)
    dialog.into.setCurrentText("lymphocyte")
    qtbot.mouseClick(dialog.merge, LEFT)
    assert dialog.findChildren(QMessageBox)
    _show(opened, other)
    qtbot.waitUntil(lambda: not opened.findChildren(ClassDialog))
    assert QApplication.activeModalWidget() is None
    for nuclei in (asked_about, opened.session.annotations):
        assert nuclei.scheme.names == ("lymphocyte", "tumor")


def test_a_name_that_is_typed_and_a_colour_go_to_no_other_slide(
    opened: MusePanel, other: Path, qtbot: Any
) -> None:
    dialog = opened.legend.edit_classes()
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.table.setCurrentCell(0, 0)
    dialog.table.setFocus()
    qtbot.keyClick(dialog.table, Qt.Key.Key_F2)
    qtbot.keyClicks(QApplication.focusWidget(), "plasma cell")
    dialog.ask_color(opened.session.annotations.scheme.classes[1])
    assert dialog.findChildren(QColorDialog)
    before = ClassScheme.from_names(["lymphocyte", "tumor"]).classes
    _show(opened, other)
    qtbot.waitUntil(lambda: not opened.findChildren(ClassDialog))
    assert QApplication.activeModalWidget() is None
    assert opened.session.annotations.scheme.classes == before


def test_the_answer_to_the_question_for_a_colour_is_the_colour(
    opened: MusePanel, qtbot: Any
) -> None:
    dialog = opened.legend.edit_classes()
    dialog.table.cellWidget(1, 1).click()
    (asking,) = dialog.findChildren(QColorDialog)
    asking.setCurrentColor(QColor("#123456"))
    asking.accept()
    assert opened.session.annotations.scheme.classes[1].color == "#123456"


def test_the_mapping_of_classes_ends_and_starts_nothing(
    opened: MusePanel, other: Path, qtbot: Any
) -> None:
    qtbot.mouseClick(opened.detect.start, LEFT)
    assert opened.findChildren(MappingDialog)
    _show(opened, other)
    qtbot.waitUntil(lambda: not opened.findChildren(MappingDialog))
    assert not opened.detection.running


def test_no_file_is_written_for_a_slide_that_came_meanwhile(
    opened: MusePanel, other: Path, tmp_path: Path, qtbot: Any
) -> None:
    path, export = tmp_path / "n.csv", opened.export

    def answer(dialog: QWidget) -> None:
        assert isinstance(dialog, QFileDialog)
        _show(opened, other)
        dialog.selectFile(str(path))
        (buttons,) = dialog.findChildren(QDialogButtonBox)
        buttons.buttons()[0].click()

    when_asked(answer)
    qtbot.mouseClick(export.button, LEFT)
    assert not export.busy
    assert "Another slide is shown by now" in opened.status.text()
    assert not path.exists()


def test_a_name_of_a_region_is_kept_while_nuclei_change_and_goes_to_no_other_slide(
    opened: MusePanel, other: Path, small_slide: Path, qtbot: Any
) -> None:
    session, table = opened.session, opened.regions.table
    use_window(opened, qtbot)
    opened.tabs.setCurrentIndex(2)
    first = session.annotations
    first.add_region(SQUARE, reviewed=False, name="one")
    table.setCurrentCell(0, 0)
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_F2)
    qtbot.keyClicks(QApplication.focusWidget(), "my na")
    first.add(50, 50, 1)
    opened.regions.refresh()
    qtbot.keyClicks(QApplication.focusWidget(), "me")
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: first.regions()["name"].tolist() == ["my name"])
    _show(opened, other)
    second = session.annotations
    second.add_region(SQUARE, reviewed=False, name="theirs")
    _show(opened, small_slide)
    table.setFocus()
    table.setCurrentCell(0, 0)
    qtbot.keyClick(table, Qt.Key.Key_F2)
    qtbot.keyClicks(QApplication.focusWidget(), "changed")
    _show(opened, other)
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Return)
    qtbot.wait(50)
    assert second.regions()["name"].tolist() == ["theirs"]
    assert table.item(0, 0).text() == "theirs"
    assert first.regions()["name"].tolist() == ["my name"]
