"""Where annotations of images without a file are stored, and how they are found again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zarr
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialogButtonBox, QFileDialog, QLineEdit, QWidget

from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import AnnotationStore
from napari_muse.panels.muse_panel import MusePanel
from napari_muse.session import MuseSession

from ...actions import click, press, when_asked
from .console import LEFT, RGB, tissue


def test_the_same_image_finds_its_nuclei_again(
    panel: MusePanel, add: Callable[..., Any], annotations_folder: Path, qtbot: Any
) -> None:
    layer = add(RGB, name="a/b: first", scale=(0.5, 0.5), units=("um", "um"))
    panel.session.annotations.adopt_scheme(ClassScheme.from_names(["cell"]))
    panel.session.annotations.add(10.0, 20.0, 1)
    assert [p.name for p in annotations_folder.iterdir() if p.suffix == ".muse"] == [
        "a-b- first.layer.muse"
    ]
    panel.session.viewer.layers.remove(layer)
    qtbot.wait(50)
    add([zarr.array(RGB, chunks=(64, 64, 3)), RGB[::2, ::2]], name="second", multiscale=True)
    assert panel.session.annotations.to_table()["x"].tolist() == [10.0]


def test_without_a_folder_for_all_annotations_they_lie_with_the_users_data(
    panel: MusePanel, add: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MUSE_ANNOTATIONS")
    monkeypatch.setattr("muse_core.nuclei.store.locate.user_data_folder", lambda: tmp_path / "data")
    add(RGB, name="console", scale=(0.5, 0.5), units=("um", "um"))
    panel.session.annotations.adopt_scheme(ClassScheme.from_names(["cell"]))
    panel.session.annotations.add(10.0, 20.0, 1)
    assert (tmp_path / "data" / "annotations" / "console.layer.muse").is_file()


def _save_project_as(panel: MusePanel, path: Path, qtbot: Any) -> None:
    """Press the button and type a name into the dialog."""

    def name_it(dialog: QWidget) -> None:
        assert isinstance(dialog, QFileDialog)
        dialog.findChild(QLineEdit, "fileNameEdit").setText(str(path))
        buttons = dialog.findChild(QDialogButtonBox)
        qtbot.mouseClick(buttons.button(QDialogButtonBox.StandardButton.Save), LEFT)

    when_asked(name_it)
    qtbot.mouseClick(panel.export.project, LEFT)


def test_a_project_is_saved_where_one_wants_and_used_from_then_on(
    panel: MusePanel,
    add: Callable[..., Any],
    make_napari_viewer: Callable[..., Any],
    annotations_folder: Path,
    tmp_path: Path,
    qtbot: Any,
) -> None:
    assert not panel.export.project.isVisible()
    add(RGB, name="console", scale=(0.5, 0.5), units=("um", "um"))
    assert panel.export.project.isVisible()
    target = tmp_path / "my project.muse"
    _save_project_as(panel, target, qtbot)
    assert "no nuclei to save yet" in panel.export.message.text()
    annotations = panel.session.annotations
    annotations.adopt_scheme(ClassScheme.from_names(["cell"]))
    panel.session.viewer.reset_view()
    press(panel, qtbot, Qt.Key.Key_A)
    click(panel, qtbot, 150, 100)
    _save_project_as(panel, tmp_path / "my project", qtbot)
    assert panel.export.message.text().startswith("Saved as my project.muse, which is used from")
    assert not list(annotations_folder.glob("*.muse"))
    click(panel, qtbot, 250, 100)
    assert len(annotations.to_table()) == 2
    _save_project_as(panel, tmp_path / "my project.muse", qtbot)
    assert "saved as my project.muse already" in panel.export.message.text()
    panel.session.rest()
    with AnnotationStore.open(target, read_only=True) as store:
        assert len(store.nuclei()) == 2, "also what came after"
    other = make_napari_viewer()
    session = MuseSession.of(other)
    other.add_image(zarr.array(RGB, chunks=(64, 64, 3)), name="another name")
    qtbot.waitUntil(lambda: session.slide is not None, timeout=20_000)
    assert session.annotations.store.path == target
    assert len(session.annotations.to_table()) == 2
    session.rest()


def test_a_slide_of_a_file_has_its_nuclei_beside_it(opened: MusePanel) -> None:
    assert not opened.export.project.isVisible()


def test_replaced_data_are_noticed_and_nothing_is_lost(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    layer = add(RGB, name="console", scale=(0.5, 0.5), units=("um", "um"))
    session = panel.session
    session.annotations.adopt_scheme(ClassScheme.from_names(["cell"]))
    session.annotations.add(10.0, 20.0, 1)

    def replace(data: Any) -> None:
        layer.data = data
        qtbot.waitUntil(lambda: session.pictures.opening is None, timeout=20_000)
        qtbot.wait(50)

    replace(RGB.copy())
    assert len(session.annotations.to_table()) == 1, "the same picture"
    replace(RGB[::-1])
    assert len(session.annotations.to_table()) == 0
    assert "shows another picture now; the nuclei of the one before are kept" in panel.status.text()
    replace(tissue(600, 500))
    assert (session.require_slide().width, session.mpp) == (500, 0.5)
    replace(RGB)
    assert session.annotations.to_table()["x"].tolist() == [10.0]
    layer.data = RGB[::-1]
    replace(tissue(500, 600))
    assert session.require_slide().width == 600, "of two in a row the last"
    replace(RGB / 255.0)
    assert session.slide is None
    assert "holds float64 values" in panel.detect.message.text()
    replace(RGB)
    assert session.annotations.to_table()["x"].tolist() == [10.0]
