"""A file with several images, or a stack, in the window: a choice, and separate nuclei."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, read_nuclei
from muse_core.nuclei.store import AnnotationStore
from muse_core.slides import ImageChoice, open_slide
from napari_muse.layers.drawn_areas import area_layer
from napari_muse.panels.muse_panel import MusePanel


def picture(width: int, height: int, *places: tuple[int, int]) -> np.ndarray:
    pixels = np.full((height, width, 3), (235, 200, 220), dtype=np.uint8)
    y, x = np.mgrid[:height, :width] + 0.5
    for cx, cy in places:
        pixels[np.hypot(x - cx, y - cy) < 8] = (80, 50, 130)
    return pixels


ONE = picture(400, 300, (100, 100), (200, 150))
TWO = picture(260, 200, (60, 50), (200, 150))


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two scenes at 0.5 and 0.25 um/px, and a label."""
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        label = {"axes": "YXS", "Name": "label image"}
        tif.write(ONE[:50, :60], photometric="rgb", metadata=label)
        for name, pixels, mpp in (("Scene 1", ONE, 0.5), ("Scene 2", TWO, 0.25)):
            size = {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
            tif.write(pixels, photometric="rgb", metadata={"axes": "YXS", "Name": name, **size})
    return path


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "z.ome.tif"
    planes = np.stack([np.roll(ONE, 30 * i, axis=1) for i in range(3)])
    tifffile.imwrite(path, planes, photometric="rgb", metadata={"axes": "ZYXS"}, ome=True)
    return path


def choose(panel: MusePanel, qtbot: Any, box: QComboBox, row: int) -> None:
    """Choose by keyboard, as a user does."""
    key = Qt.Key.Key_Down if row > box.currentIndex() else Qt.Key.Key_Up
    for _ in range(abs(row - box.currentIndex())):
        qtbot.keyClick(box, key)
        qtbot.waitUntil(lambda: not panel.detect.images.busy, timeout=20_000)


def shown(panel: MusePanel) -> np.ndarray:
    layer = panel.session.image_layer
    data = layer.data[0] if layer.multiscale else layer.data
    return np.asarray(data)


def add(panel: MusePanel, *xy: tuple[float, float]) -> None:
    annotations = panel.session.annotations
    annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte"]))
    for x, y in xy:
        annotations.add(x, y, 1)


def places(panel: MusePanel) -> list[list[float]]:
    result: list[list[float]] = panel.session.annotations.to_table()[["x", "y"]].to_numpy().tolist()
    return result


def test_another_image_is_chosen_and_its_nuclei_are_its_own(
    panel: MusePanel, two: Path, annotations_folder: Path, qtbot: Any
) -> None:
    session, images = panel.session, panel.detect.images
    session.viewer.open(two, plugin="napari-muse")
    assert images.isVisible()
    texts = [images.image.itemText(i) for i in range(images.image.count())]
    assert texts == ["1  Scene 1: 400 x 300 px", "2  Scene 2: 260 x 200 px"]
    assert not images.plane.isVisible()
    assert "two.ome.tif [image 1]" in panel.detect.message.text()
    assert np.array_equal(shown(panel), ONE)
    add(panel, (100, 100))

    choose(panel, qtbot, images.image, 1)
    assert np.array_equal(shown(panel), TWO)
    assert session.mpp == 0.25
    assert session.image_layer.name == "two.ome.tif [image 2]"
    assert [layer.name for layer in session.viewer.layers if "two" in layer.name] == [
        "two.ome.tif [image 2]"
    ]
    assert places(panel) == []
    add(panel, (60, 50), (200, 150))

    choose(panel, qtbot, images.image, 0)
    assert np.array_equal(shown(panel), ONE)
    assert session.mpp == 0.5
    assert places(panel) == [[100, 100]]
    session.rest()
    stores = sorted(annotations_folder.glob("*.muse"))
    assert [p.name for p in stores] == ["two.ome.tif-image2.muse", "two.ome.tif.muse"]
    for path, count in zip(stores, (2, 1), strict=True):
        with AnnotationStore.open(path, read_only=True) as store:
            assert len(store.nuclei()) == count


def test_undo_stays_with_the_image(panel: MusePanel, two: Path, qtbot: Any) -> None:
    panel.session.viewer.open(two, plugin="napari-muse")
    add(panel, (100, 100))
    choose(panel, qtbot, panel.detect.images.image, 1)
    add(panel, (60, 50))
    panel.session.annotations.undo()
    panel.session.annotations.undo()
    assert places(panel) == []
    choose(panel, qtbot, panel.detect.images.image, 0)
    assert places(panel) == [[100, 100]]


@pytest.mark.usefixtures("make_napari_viewer")
def test_planes(panel: MusePanel, stack: Path, qtbot: Any) -> None:
    session, images = panel.session, panel.detect.images
    session.viewer.open(stack, plugin="napari-muse")
    assert (images.plane.currentText(), images.image.isVisible()) == ("2 of 3", False)
    assert np.array_equal(shown(panel), np.roll(ONE, 30, axis=1))
    session.set_mpp(0.5)
    zoom = session.viewer.scene.camera.zoom
    choose(panel, qtbot, images.plane, 2)
    assert np.array_equal(shown(panel), np.roll(ONE, 60, axis=1))
    # The scale entered by the user holds for all planes, and the view stays.
    assert session.mpp == 0.5
    assert session.viewer.scene.camera.zoom == zoom
    assert images.plane.currentText() == "3 of 3"


@pytest.mark.usefixtures("make_napari_viewer")
def test_a_saved_file_names_its_plane(
    panel: MusePanel, stack: Path, tmp_path: Path, annotations_folder: Path, qtbot: Any
) -> None:
    panel.session.viewer.open(stack, plugin="napari-muse")
    panel.session.set_mpp(0.5)
    for row, plane in ((1, 1), (2, 2)):
        choose(panel, qtbot, panel.detect.images.plane, row)
        add(panel, (130, 100))
        target = tmp_path / f"{plane}.geojson"
        panel.export.save(target)
        qtbot.waitUntil(lambda: not panel.export.busy, timeout=20_000)
        assert read_nuclei(target).plane_zt == (plane, 0)


def test_a_file_with_one_image_shows_no_choice(
    panel: MusePanel, two: Path, small_slide: Path, qtbot: Any
) -> None:
    panel.session.viewer.open(two, plugin="napari-muse")
    assert panel.detect.images.isVisible()
    panel.session.viewer.open(small_slide, plugin="napari-muse")
    assert not panel.detect.images.isVisible()


def test_drawn_areas_stay_with_their_image(panel: MusePanel, two: Path, qtbot: Any) -> None:
    session = panel.session
    session.viewer.open(two, plugin="napari-muse")
    layer = area_layer(session.viewer, session.slide)
    layer.add_rectangles(np.array([[10, 10], [60, 60]]))
    assert len(session.drawn_polygons()) == 1
    choose(panel, qtbot, panel.detect.images.image, 1)
    with pytest.raises(UserError, match="Nothing is drawn"):
        session.drawn_polygons()


def test_a_file_that_is_gone_is_said_and_the_image_stays(
    panel: MusePanel, two: Path, qtbot: Any
) -> None:
    panel.session.viewer.open(two, plugin="napari-muse")
    two.unlink()
    choose(panel, qtbot, panel.detect.images.image, 1)
    assert "There is no file" in panel.status.text()
    assert panel.detect.images.image.currentIndex() == 0
    assert np.array_equal(shown(panel), ONE)


def test_detection_looks_at_the_chosen_image(panel: MusePanel, two: Path, qtbot: Any) -> None:
    panel.session.viewer.open(two, plugin="napari-muse")
    choose(panel, qtbot, panel.detect.images.image, 1)
    place = panel.detect.place
    place.setCurrentIndex(place.findData("slide"))
    qtbot.mouseClick(panel.detect.start, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.detect.running, timeout=120_000)
    assert "nuclei in" in panel.detect.message.text()
    found = places(panel)
    assert found
    # Both discs of this image, none where only the other has one.
    for x, y in ((60, 50), (200, 150)):
        assert min(np.hypot(px - x, py - y) for px, py in found) < 8
    assert min(np.hypot(px - 100, py - 100) for px, py in found) > 20
    with open_slide(two, choice=ImageChoice(2)) as slide:
        assert all(0 <= px <= slide.width and 0 <= py <= slide.height for px, py in found)
