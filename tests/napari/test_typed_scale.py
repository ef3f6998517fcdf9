"""The scale a user enters: its effects, and that it is remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tifffile
from qtpy.QtCore import Qt

from napari_muse.jobs.tissue_area import TissueArea
from napari_muse.panels.muse_panel import MusePanel

LEARN = 3


def _enter(panel: MusePanel, qtbot: Any, text: str) -> None:
    panel.detect.mpp.selectAll()
    qtbot.keyClicks(panel.detect.mpp, text)
    qtbot.keyClick(panel.detect.mpp, Qt.Key.Key_Return)


@pytest.fixture
def unscaled(small_slide: Path, tmp_path: Path) -> Path:
    path = tmp_path / "unscaled.tif"
    tifffile.imwrite(path, tifffile.imread(small_slide), photometric="rgb")
    return path


def test_the_area_of_tissue_follows_the_scale_and_the_slide(
    opened: MusePanel, unscaled: Path, qtbot: Any
) -> None:
    tissue: TissueArea = opened.learn.tissue
    opened.tabs.setCurrentIndex(LEARN)
    qtbot.waitUntil(lambda: tissue.mm2 is not None, timeout=10_000)
    # All of the small slide is tissue: 400 x 300 px at 0.5 um.
    assert tissue.mm2 == pytest.approx(0.03, rel=0.05)
    opened.session.set_mpp(1.0)
    assert tissue.mm2 is None
    qtbot.waitUntil(lambda: tissue.mm2 is not None, timeout=10_000)
    assert tissue.mm2 == pytest.approx(0.12, rel=0.05)
    opened.session.viewer.open(unscaled, plugin="napari-muse")
    assert tissue.mm2 is None
    opened.session.set_mpp(0.25)
    qtbot.waitUntil(lambda: tissue.mm2 is not None, timeout=10_000)
    assert tissue.mm2 == pytest.approx(0.0075, rel=0.05)


def test_an_entered_scale_is_known_when_the_slide_is_opened_again(
    make_napari_viewer: Callable[..., Any], unscaled: Path, tmp_path: Path, qtbot: Any
) -> None:
    moved = tmp_path / "elsewhere.tif"
    for path, wanted in ((unscaled, None), (unscaled, 0.4), (moved, 0.4)):
        viewer = make_napari_viewer(show=True)
        _, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
        viewer.open(path, plugin="napari-muse")
        assert panel.session.mpp == wanted
        if wanted is None:
            _enter(panel, qtbot, "0,4")
        else:
            assert panel.detect.mpp.text() == "0.4"
            assert "as you entered it before" in panel.status.text()
            assert tuple(panel.session.image_layer.scale) == (0.4, 0.4)
            path.replace(moved)
        panel.close()
        viewer.close()


def test_the_files_own_scale_is_not_kept_twice(
    opened: MusePanel, annotations_folder: Path, qtbot: Any
) -> None:
    session = opened.session
    session.set_mpp(0.3)
    assert len(list((annotations_folder / "scales").iterdir())) == 1
    session.set_mpp(0.5)
    assert list((annotations_folder / "scales").iterdir()) == []


def test_what_is_not_a_scale_any_more_is_asked_for_again(
    panel: MusePanel, unscaled: Path, annotations_folder: Path, qtbot: Any
) -> None:
    session = panel.session
    session.viewer.open(unscaled, plugin="napari-muse")
    _enter(panel, qtbot, "0.4")
    (kept,) = (annotations_folder / "scales").iterdir()
    for text in ("", "{}", '{"mpp": "x"}', '{"mpp": -1}', "[1]", '{"mpp": NaN}'):
        kept.write_text(text)
        session.viewer.layers.remove(session.image_layer)
        session.viewer.open(unscaled, plugin="napari-muse")
        assert session.mpp is None


def test_the_window_says_where_a_scale_is_given(
    panel: MusePanel, unscaled: Path, qtbot: Any
) -> None:
    panel.session.viewer.open(unscaled, plugin="napari-muse")
    panel.tabs.setCurrentIndex(1)
    panel.session.annotations.add(10, 10, 1)
    qtbot.mouseClick(panel.review.compare, Qt.MouseButton.LeftButton)
    assert "field “µm/pixel”" in panel.status.text()
    assert "--mpp" not in panel.status.text()
