"""A large image without a pyramid: its coarse levels are computed once, in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from muse_core.slides.overview_cache import OVERVIEWS_VARIABLE
from muse_core.slides.tiff.level import TiffLevel
from napari_muse.jobs.overview import OVERVIEW_KEY, THREAD
from napari_muse.panels.muse_panel import MusePanel

SIDE = 9000
N_TILES = 6 * 36


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiled TIFF of one level, 9,000 px wide, green in its lower half."""
    pixels = np.full((1500, SIDE, 3), (200, 100, 150), np.uint8)
    pixels[750:] = (20, 200, 20)
    path = tmp_path_factory.mktemp("flat") / "flat.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256), compression="zlib")
    return path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[bool]:
    """For each decoded tile, whether the interface waited for it."""
    monkeypatch.setenv(OVERVIEWS_VARIABLE, str(tmp_path / "overviews"))
    found: list[bool] = []
    decode = TiffLevel._decode

    def noting(self: TiffLevel, row: int, col: int) -> Any:
        found.append(threading.current_thread().name != THREAD)
        return decode(self, row, col)

    monkeypatch.setattr(TiffLevel, "_decode", noting)
    return found


def _overview(panel: MusePanel) -> Any:
    return panel.session.image_layer.metadata[OVERVIEW_KEY]


def test_the_first_view_waits_for_no_tile_and_the_second_reads_none(
    panel: MusePanel, flat: Path, decoded: list[bool], qtbot: Any
) -> None:
    viewer = panel.session.viewer
    viewer.open(flat, plugin="napari-muse")
    viewer.reset_view()
    overview = _overview(panel)
    qtbot.waitUntil(lambda: overview.is_made, timeout=30_000)
    assert sum(decoded) < 0.1 * N_TILES
    assert len(decoded) < 1.2 * N_TILES, "each once, but for a few at the middle of the view"
    layer = panel.session.image_layer

    def colours() -> list[list[int]]:
        shown = np.asarray(layer._slice.image.view)
        assert shown.shape[1] < SIDE / 3
        return [shown[len(shown) * part // 4, 50].tolist() for part in (1, 3)]

    qtbot.waitUntil(lambda: colours() == [[200, 100, 150], [20, 200, 20]], timeout=5000)
    viewer.layers.remove(layer)
    decoded.clear()
    viewer.open(flat, plugin="napari-muse")
    viewer.reset_view()
    layer = panel.session.image_layer
    assert _overview(panel).is_made
    assert colours() == [[200, 100, 150], [20, 200, 20]]
    assert not decoded


def test_a_removed_image_ends_its_overview_and_leaves_nothing(
    panel: MusePanel, flat: Path, decoded: list[bool], tmp_path: Path, qtbot: Any
) -> None:
    viewer, session = panel.session.viewer, panel.session
    viewer.open(flat, plugin="napari-muse")
    overview = _overview(panel)
    qtbot.waitUntil(lambda: overview._layer is session.image_layer, timeout=5000)
    viewer.layers.remove(session.image_layer)
    qtbot.waitUntil(lambda: overview.is_made and not overview._timer.isActive(), timeout=5000)
    assert not [t for t in threading.enumerate() if t.name == THREAD and t.is_alive()]
    for folder in (tmp_path / "overviews").iterdir():
        assert (folder / "done").exists()


def test_a_full_disk_leaves_the_image_as_it_was_shown_before(
    panel: MusePanel, flat: Path, decoded: list[bool], monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("muse_core.slides.overview._write_all", full)
    viewer = panel.session.viewer
    viewer.open(flat, plugin="napari-muse")
    overview, layer = _overview(panel), panel.session.image_layer
    qtbot.waitUntil(lambda: overview.is_made and not overview._timer.isActive(), timeout=30_000)
    level = np.asarray(layer.data[-1])
    assert level[10, 50].tolist() == [200, 100, 150]
    assert level[-10, 50].tolist() == [20, 200, 20]


def test_another_window_does_not_end_it(
    make_napari_viewer: Callable[..., Any],
    flat: Path,
    decoded: list[bool],
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    may_work = threading.Event()
    decode = TiffLevel._decode

    def late(self: TiffLevel, row: int, col: int) -> Any:
        if threading.current_thread().name == THREAD:
            may_work.wait()
        return decode(self, row, col)

    monkeypatch.setattr(TiffLevel, "_decode", late)
    viewer = make_napari_viewer(show=True)
    (layer,) = viewer.open(flat, plugin="napari-muse")
    overview = layer.metadata[OVERVIEW_KEY]
    qtbot.waitUntil(lambda: overview._layer is layer)
    other = make_napari_viewer(show=True)
    other.window.activate()
    ticked: list[bool] = []
    overview._timer.timeout.connect(lambda: ticked.append(True))
    qtbot.waitUntil(lambda: len(ticked) > 1)
    may_work.set()
    qtbot.waitUntil(lambda: overview.is_made)
    assert not overview._cancelled.is_set()
    assert np.asarray(layer.data[-1])[-10, 50].tolist() == [20, 200, 20]
