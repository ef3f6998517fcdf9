from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from qtpy.QtWidgets import QApplication, QWidget

from muse_core.nuclei import ClassScheme
from napari_muse.panels.muse_panel import MusePanel

from .kept_viewer import KeptViewer
from .patient_bot import PatientBot
from .read_once import read_once

# Mesa draws with threads of its own, which only cost where every core has a process of pytest; it
# is told before the first window opens.
os.environ.setdefault("LP_NUM_THREADS", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with their own viewers last: each group of them replaces the shared one."""
    items.sort(key=lambda item: "make_napari_viewer" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def napari_reads_once() -> Iterator[None]:
    with read_once():
        yield


@pytest.fixture(autouse=True)
def annotations_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all stores: none is created beside the data."""
    folder = tmp_path / "annotations"
    monkeypatch.setenv("MUSE_ANNOTATIONS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_ready_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests of the ready process start one that has loaded a model."""
    monkeypatch.setenv("MUSE_READY_PROCESS", "0")


@pytest.fixture
def qtbot(qapp: Any, request: pytest.FixtureRequest) -> PatientBot:
    """In place of pytest-qt's own."""
    return PatientBot(request)


@pytest.fixture(scope="session")
def kept_viewer() -> Iterator[KeptViewer]:
    """The window that tests share, one after the other."""
    kept = KeptViewer()
    yield kept
    kept.close()


@pytest.fixture(autouse=True)
def no_other_viewer(request: pytest.FixtureRequest, kept_viewer: KeptViewer) -> None:
    """Close the shared viewer for a test that makes its own viewers."""
    if "make_napari_viewer" in request.fixturenames:
        kept_viewer.close()


@pytest.fixture
def panel(
    request: pytest.FixtureRequest, kept_viewer: KeptViewer, qtbot: Any
) -> Iterator[MusePanel]:
    """A visible viewer with the MUSE dock, opened as from the menu.

    The shared viewer is used unless the test also requests make_napari_viewer, as tests do that
    depend on the initial camera.
    """
    own = "make_napari_viewer" in request.fixturenames
    if own:
        viewer = request.getfixturevalue("make_napari_viewer")(show=True)
    else:
        viewer = kept_viewer.take(qtbot)
    if own or "shoot" in request.fixturenames:
        viewer.window.resize(1400, 900)
    _, widget = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    # If a slide is opened next, the window is drawn with it.
    if "opened" not in request.fixturenames:
        viewer.window._qt_window.setUpdatesEnabled(True)
    qtbot.waitExposed(widget)
    yield widget
    widget.close()
    if not own:
        left = kept_viewer.put_back()
        assert not left, f"left behind: {', '.join(left)}"


@pytest.fixture
def small_slide(tmp_path: Path) -> Path:
    """A TIFF of 400 x 300 px at 0.5 um/px with three dark discs on pink ground."""
    pixels = np.full((300, 400, 3), (235, 200, 220), dtype=np.uint8)
    y, x = np.mgrid[:300, :400] + 0.5
    for cx, cy in ((100, 100), (200, 150), (300, 200)):
        pixels[np.hypot(x - cx, y - cy) < 8] = (80, 50, 130)
    path = tmp_path / "small.tif"
    tifffile.imwrite(
        path, pixels, photometric="rgb", tile=(128, 128), resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


@pytest.fixture
def opened(panel: MusePanel, small_slide: Path, qtbot: Any) -> MusePanel:
    """The panel with the small slide open and three predicted nuclei, ids 1 to 3."""
    viewer = panel.session.viewer
    viewer.open(small_slide, plugin="napari-muse")
    viewer.reset_view()
    annotations = panel.session.annotations
    annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte", "tumor"]))
    annotations.append([100, 200, 300], [100, 150, 200], [1, 1, 1], [0.9, 0.8, 0.7], "m", 6.0)
    panel.session.nuclei.refresh()
    viewer.window._qt_window.setUpdatesEnabled(True)
    qtbot.wait(100)
    return panel


@pytest.fixture
def styled(panel: MusePanel, kept_viewer: KeptViewer) -> None:
    """Let the window look as it does for a user."""
    kept_viewer.style()


@pytest.fixture
def shoot(styled: None, tmp_path: Path, qtbot: Any) -> Callable[[QWidget, str], None]:
    """Takes a screenshot of a widget and checks that it is not blank.

    With MUSE_SCREENSHOTS set to a folder the screenshots are saved there; docs/images is made so.
    """
    folder = Path(os.environ.get("MUSE_SCREENSHOTS") or tmp_path)

    def take(widget: QWidget, name: str) -> None:
        qtbot.wait(400)
        QApplication.processEvents()
        path = folder / f"{name}.png"
        assert widget.grab().save(str(path))
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50

    return take
