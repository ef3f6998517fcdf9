"""Images that others put into the window: arrays of the console, layers of other plugins."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import zarr
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QLineEdit

from muse_core.jobs import DetectJob, Done
from muse_core.nuclei import ClassScheme, read_nuclei
from muse_core.nuclei.store import AnnotationStore
from muse_core.slides import Region
from napari_muse.jobs.detection import Detection
from napari_muse.panels.muse_panel import MusePanel
from napari_muse.session import MuseSession

from ..job_inputs import write_model
from .actions import click, press

LEFT = Qt.MouseButton.LeftButton


def _tissue(height: int = 300, width: int = 400) -> npt.NDArray[np.uint8]:
    """Three dark discs on pink ground."""
    pixels = np.full((height, width, 3), (235, 200, 220), dtype=np.uint8)
    y, x = np.mgrid[:height, :width] + 0.5
    for cx, cy in ((100, 100), (200, 150), (300, 200)):
        pixels[np.hypot(x - cx, y - cy) < 8] = (80, 50, 130)
    return pixels


RGB = _tissue()


@pytest.fixture
def add(panel: MusePanel, qtbot: Any) -> Callable[..., Any]:
    """Adds an image as the console does, and waits until MUSE has looked at it."""

    def act(data: Any, **settings: Any) -> Any:
        layer = panel.session.viewer.add_image(data, **settings)
        qtbot.waitUntil(lambda: panel.session.pictures.opening is None, timeout=20_000)
        qtbot.wait(50)
        return layer

    return act


def _listed(panel: MusePanel) -> list[str]:
    return [panel.picture.layer.itemText(i) for i in range(panel.picture.layer.count())]


def _choose(panel: MusePanel, name: str, qtbot: Any) -> None:
    """Choose an image in the panel by the keyboard."""
    box = panel.picture.layer
    box.setFocus()
    box.setCurrentIndex(_listed(panel).index(name))
    box.activated.emit(box.currentIndex())
    qtbot.waitUntil(lambda: panel.session.pictures.opening is None, timeout=20_000)
    qtbot.wait(50)


@pytest.mark.parametrize(
    "data",
    [
        RGB,
        np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]),
        RGB.astype(np.uint16) * 257,
        [
            da.from_array(RGB, chunks=(128, 128, 3)),
            da.from_array(RGB[::2, ::2], chunks=(128, 128, 3)),
        ],
        zarr.array(RGB, chunks=(128, 128, 3)),
        RGB[None],
    ],
    ids=["numpy", "alpha", "16 bits", "dask pyramid", "zarr", "an axis of length 1"],
)
def test_an_image_of_the_console_becomes_the_slide(
    panel: MusePanel, add: Callable[..., Any], data: Any
) -> None:
    layer = add(data, name="console", rgb=True, multiscale=isinstance(data, list))
    slide = panel.session.require_slide()
    assert (slide.name, slide.width, slide.height, slide.mpp) == ("console", 400, 300, None)
    assert np.abs(slide.read(slide.bounds).astype(int) - RGB).max() == 0
    assert panel.session.image_layer is layer
    assert panel.picture.isHidden(), "there is nothing to choose"
    assert panel.detect.message.text() == "console: 400 x 300 px."
    assert panel.detect.mpp_hint.isVisible()


@pytest.mark.parametrize("unit", ["pixel", "um", "mm"])
def test_napari_does_not_warn_of_units(
    panel: MusePanel, add: Callable[..., Any], unit: str, qtbot: Any
) -> None:
    notification_manager.records.clear()
    grey = add(RGB[:, :, 0], name="grey", units=(unit, unit))
    qtbot.wait(100)
    add(RGB, name="console", scale=(0.5, 0.5), units=(unit, unit))
    qtbot.wait(100)
    panel.session.viewer.layers.remove(grey)
    qtbot.wait(100)
    assert panel.session.slide is not None
    assert not [n.message for n in notification_manager.records if "units" in n.message]


@pytest.mark.parametrize(
    ("settings", "mpp"),
    [
        ({"scale": (0.25, 0.25), "units": ("um", "um")}, 0.25),
        ({"scale": (0.0005, 0.0005), "units": ("mm", "mm")}, 0.5),
        ({"scale": (250, 250), "units": ("nm", "nm")}, 0.25),
        ({"scale": (0.25, 0.2525), "units": ("um", "um")}, 0.25125),
        ({"scale": (0.25, 0.25)}, None),
        ({"scale": (2.0, 2.0), "units": ("pixel", "pixel")}, None),
        ({"scale": (1e-5, 1e-5), "units": ("um", "um")}, None),
    ],
)
def test_the_scale_is_that_of_the_layer_in_its_unit_and_never_guessed(
    panel: MusePanel, add: Callable[..., Any], settings: dict[str, Any], mpp: float | None
) -> None:
    layer = add(RGB, name="console", **settings)
    assert panel.session.mpp == (None if mpp is None else pytest.approx(mpp))
    assert tuple(layer.scale) == settings["scale"], "the layer stays as it was"
    assert {str(x.units[-1]) for x in panel.session.viewer.layers} == {str(layer.units[-1])}


def test_a_scale_without_a_unit_of_length_is_said_not_to_be_taken(
    panel: MusePanel, add: Callable[..., Any]
) -> None:
    add(RGB, name="console", scale=(0.25, 0.25))
    hint = panel.detect.mpp_hint.text()
    assert "(its layer has the scale 0.25, but in the unit “pixel”)" in hint


def test_an_image_that_was_there_before_the_panel(
    make_napari_viewer: Callable[..., Any], qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(RGB[:, :, 0], name="grey")
    layer = viewer.add_image(RGB, name="console", scale=(0.5, 0.5))
    _, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    qtbot.waitUntil(lambda: panel.session.slide is not None, timeout=20_000)
    assert panel.session.image_layer is layer
    panel.close()
    viewer.window.remove_dock_widget("all")
    _, again = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    assert again.session.image_layer is layer
    assert _listed(again) == ["console", "grey"]
    again.close()


def test_a_typed_scale_holds_and_is_remembered_by_what_the_image_is(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    layer = add(RGB, name="console")
    field = panel.detect.mpp
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "0,5")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert panel.session.mpp == 0.5
    assert layer.scale.tolist() == [1.0, 1.0], "whoever lays other layers on it finds it there"
    panel.session.viewer.layers.remove(layer)
    qtbot.wait(50)
    assert panel.session.slide is None
    add(da.from_array(RGB, chunks=(100, 100, 3)), name="the same")
    assert panel.session.mpp == 0.5
    assert "as you entered it before" in panel.status.text()


def test_nuclei_lie_on_an_image_that_is_scaled_and_moved(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    add(RGB, scale=(0.0005, 0.0005), units=("mm", "mm"), translate=(7.0, -3.0))
    session = panel.session
    session.annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte", "tumor"]))
    session.annotations.append([100, 200], [100, 150], [1, 1], [0.9, 0.8], "m", 6.0)
    session.viewer.reset_view()
    session.nuclei.refresh()
    qtbot.wait(100)
    world = session.nuclei.layer.data_to_world(session.nuclei.layer.data[0])
    assert world == pytest.approx((7.0 + 99.5 * 0.0005, -3.0 + 99.5 * 0.0005))
    click(panel, qtbot, 200, 150)
    assert session.nuclei.selected_ids.tolist() == [2]
    press(panel, qtbot, Qt.Key.Key_2)
    assert session.annotations.to_table()["class_name"].tolist() == ["lymphocyte", "tumor"]
    seen = session.visible_region()
    assert (seen.x, seen.y, seen.w, seen.h) == pytest.approx((0, 0, 400, 300), abs=1e-6)
    session.show_area(Region(100, 50, 40, 20))
    assert session.visible_region().intersect(Region(100, 50, 40, 20)) == Region(100, 50, 40, 20)
    press(panel, qtbot, Qt.Key.Key_R)
    assert len(session.annotations.regions()) == 1
    (layer,) = [x for x in session.viewer.layers if x.name == "Regions"]
    corner = layer.data_to_world(layer.data[0][0])
    x, y = session.placement.from_world([corner])
    assert Region(0, 0, 400, 300).contains(x, y).all()


@pytest.mark.parametrize(
    ("data", "settings", "reason"),
    [
        (RGB[:, :, 0], {}, "one channel, as fluorescence has"),
        (RGB[None, :, :, 0].repeat(7, axis=0), {}, "a stack of grey images"),
        (RGB[None].repeat(5, axis=0), {"rgb": True}, "a stack of 5 RGB images"),
        (RGB / 255.0, {"rgb": True}, "holds float64 values; turn them into uint8"),
        (RGB, {"rotate": 10}, "is rotated"),
        (RGB, {"shear": [0.2]}, "is sheared"),
        (RGB, {"affine": [[1, 0, 5], [0, 1, 0], [0, 0, 1]]}, "moved by an affine"),
        (RGB, {"scale": (0.5, -0.5)}, "mirrored"),
        (RGB, {"scale": (0.5, 0.25)}, "not square, 0.5 high and 0.25 wide"),
    ],
)
def test_what_cannot_be_is_told_why(
    panel: MusePanel, add: Callable[..., Any], data: Any, settings: dict[str, Any], reason: str
) -> None:
    add(data, name="other", **settings)
    assert panel.session.slide is None
    assert panel.detect.message.text().startswith("“other” ") or "of “other”" in (
        panel.detect.message.text()
    )
    assert reason in panel.detect.message.text()
    assert panel.picture.isVisible()


def test_labels_are_no_picture_and_chosen_in_vain(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    layer = add(RGB, name="console", scale=(0.5, 0.5), units=("um", "um"))
    panel.session.viewer.add_labels(np.zeros((300, 400), int), name="cells")
    assert _listed(panel) == ["cells", "console"]
    assert panel.picture.isVisible()
    _choose(panel, "cells", qtbot)
    assert "“cells” holds labels and no picture" in panel.status.text()
    assert panel.session.image_layer is layer
    _choose(panel, "console", qtbot)
    assert panel.picture.layer.currentText() == "console"


def test_planes_of_grey_are_used_as_colours_when_a_person_says_so(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    stack = add(
        da.from_array(RGB.transpose(2, 0, 1), chunks=(1, 100, 100)),
        name="planes",
        scale=(1, 0.5, 0.5),
        units=("pixel", "um", "um"),
    )
    assert panel.session.slide is None
    assert "press “Use as RGB”" in panel.detect.message.text()
    qtbot.mouseClick(panel.picture.as_colours, LEFT)
    qtbot.waitUntil(lambda: panel.session.slide is not None, timeout=20_000)
    slide = panel.session.require_slide()
    assert (slide.name, slide.mpp) == ("planes RGB", 0.5)
    assert np.array_equal(slide.read(slide.bounds), RGB)
    assert stack in panel.session.viewer.layers
    assert not stack.visible
    assert panel.picture.as_colours.isHidden()


def test_a_second_image_is_chosen_in_the_panel_and_not_by_itself(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    one = add(RGB, name="one", scale=(0.5, 0.5), units=("um", "um"))
    two = add(RGB[::-1], name="two")
    assert panel.session.image_layer is one
    assert one.visible
    _choose(panel, "two", qtbot)
    assert panel.session.image_layer is two
    assert (one.visible, two.visible) == (False, True)
    assert not panel.session.mpp, "that of the other is not taken over with its units"
    _choose(panel, "one", qtbot)
    assert panel.session.image_layer is one
    assert panel.session.require_slide().mpp == 0.5


def test_what_is_out_of_sight_is_not_chosen_by_itself(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    layer = add(RGB, name="hidden", visible=False)
    assert panel.session.slide is None
    assert panel.detect.message.text() == "Choose above which image is the slide."
    layer.visible = True
    qtbot.waitUntil(lambda: panel.session.slide is not None, timeout=20_000)
    assert panel.session.image_layer is layer


def test_a_slide_that_is_opened_meanwhile_stays(
    panel: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    session = panel.session
    picture = session.viewer.add_image(RGB, name="console")
    assert session.pictures.opening is picture
    session.viewer.open(small_slide, plugin="napari-muse")
    qtbot.waitUntil(lambda: session.pictures.opening is None, timeout=20_000)
    qtbot.wait(50)
    assert session.require_slide().path == small_slide
    assert _listed(panel) == ["small.tif", "console"]
    _choose(panel, "console", qtbot)
    assert session.image_layer is picture


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

    def name_it() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, QFileDialog)
        dialog.findChild(QLineEdit, "fileNameEdit").setText(str(path))
        buttons = dialog.findChild(QDialogButtonBox)
        qtbot.mouseClick(buttons.button(QDialogButtonBox.StandardButton.Save), LEFT)

    QTimer.singleShot(300, name_it)
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
    replace(_tissue(600, 500))
    assert (session.require_slide().width, session.mpp) == (500, 0.5)
    replace(RGB)
    assert session.annotations.to_table()["x"].tolist() == [10.0]
    layer.data = RGB[::-1]
    replace(_tissue(500, 600))
    assert session.require_slide().width == 600, "of two in a row the last"
    replace(RGB / 255.0)
    assert session.slide is None
    assert "holds float64 values" in panel.detect.message.text()
    replace(RGB)
    assert session.annotations.to_table()["x"].tolist() == [10.0]


def test_a_scale_that_is_set_later_is_followed(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    layer = add(RGB, name="console")
    session = panel.session
    assert session.mpp is None
    layer.scale = (0.5, 0.5)
    assert session.mpp is None
    layer.units = ("um", "um")
    assert session.mpp == 0.5
    assert session.nuclei.layer.scale.tolist() == [0.5, 0.5]
    layer.translate = (10.0, 20.0)
    assert session.nuclei.layer.translate.tolist() == [10.0, 20.0]
    layer.scale = (0.5, 0.25)
    assert layer.scale.tolist() == [0.5, 0.5]
    assert "not square" in panel.status.text()
    layer.rotate = 30
    qtbot.wait(50)
    assert np.allclose(layer.rotate, np.eye(2))
    assert "The slide stays where it is" in panel.status.text()


def test_an_image_that_cannot_be_computed_is_one_sentence(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    fails = [True]

    def block(block: Any) -> Any:
        if fails[0] and block.shape[0] == 64:
            raise OSError("the disk is away")
        return block

    add(RGB, name="good", scale=(0.5, 0.5), units=("um", "um"))
    lazy = da.from_array(RGB[::-1], chunks=(64, 64, 3)).map_blocks(
        block, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8)
    )
    layer = panel.session.viewer.add_image(np.zeros_like(RGB), name="lazy")
    with layer.events.blocker_all():
        layer._data = lazy  # napari itself would draw it, and fail
    _choose(panel, "lazy", qtbot)
    assert "cannot be read: OSError: the disk is away" in panel.status.text()
    assert panel.session.require_slide().name == "good"
    fails[0] = False
    _choose(panel, "lazy", qtbot)
    assert panel.session.require_slide().name == "lazy"


def test_a_layer_of_another_reader_is_the_slide_of_its_file(
    panel: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    """The job reads the file, annotations are those of the file, the scale is the file's."""
    session = panel.session
    pixels = tifffile.imread(small_slide)
    from napari.layers import Layer
    from napari.layers._source import layer_source

    with layer_source(path=str(small_slide), reader_plugin="other"):
        shown = Layer.create(pixels, {"name": "shown"}, "image")
        changed = Layer.create(255 - pixels, {"name": "changed"}, "image")
    session.viewer.add_layer(shown)
    qtbot.waitUntil(lambda: session.slide is not None, timeout=20_000)
    slide = session.require_slide()
    assert (slide.path, slide.is_file, slide.mpp) == (small_slide, True, 0.5)
    assert session.image_layer is shown
    session.viewer.add_layer(changed)
    _choose(panel, "changed", qtbot)
    assert not session.require_slide().is_file, "it is not what is in the file"


def test_a_removed_image_gives_its_memory_back(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    layer = add(RGB.copy(), name="console")
    source = weakref.ref(panel.session.require_slide().source)
    panel.session.viewer.layers.remove(layer)
    del layer
    qtbot.wait(50)
    assert panel.session.slide is None
    assert panel.detect.message.text() == "Open a slide to begin."
    for _ in range(20):
        gc.collect()
        if source() is None:
            return
        qtbot.wait(50)
    pytest.fail("somebody still has the pixels")


def test_from_the_console_to_a_csv(
    panel: MusePanel,
    add: Callable[..., Any],
    shoot: Callable[..., None],
    tmp_path: Path,
    qtbot: Any,
) -> None:
    """Detect with the real job, correct with a key, export."""
    rng = np.random.default_rng(0)
    pixels = _tissue(600, 800)
    y, x = np.mgrid[:600, :800]
    for cx, cy in rng.uniform((0, 0), (800, 600), (300, 2)):
        pixels[np.hypot(x - cx, y - cy) < rng.uniform(4, 9)] = (70, 40, 120)
    # An in-memory pyramid: the job has it tile by tile from this process.
    finest = da.from_array(pixels, chunks=(256, 256, 3)).map_blocks(_slowly, lock=_Unsendable())
    add([finest, finest[::2, ::2]], name="pyramid", scale=(0.5, 0.5), units=("um", "um"))
    session = panel.session
    detection: Detection = panel.detection
    ends: list[Any] = []
    detection.ended.connect(ends.append)
    model = write_model(tmp_path / "tiny.safetensors")
    detection.start(DetectJob(slide="", model=str(model), device="cpu"), ())
    waits = 0
    while not ends and waits < 1200:
        qtbot.wait(50)
        waits += 1
    (end,) = ends
    assert isinstance(end, Done), end.message
    assert len(session.annotations.to_table()) == end.result["nuclei"] > 0
    row = session.annotations.to_table().iloc[0]
    session.show_area(Region(row["x"] - 60, row["y"] - 40, 120, 80))
    session.nuclei.refresh()
    qtbot.wait(100)
    click(panel, qtbot, row["x"], row["y"])
    assert session.nuclei.selected_ids.tolist() == [row["id"]]
    press(panel, qtbot, Qt.Key.Key_2)
    shoot(panel.window(), "console")
    target = tmp_path / "out.csv"
    panel.export.save(target)
    qtbot.waitUntil(lambda: not panel.export.busy, timeout=20_000)
    written = read_nuclei(target)
    assert len(written.table) == len(session.annotations.to_table())
    assert written.mpp == 0.5
    changed = written.table.loc[
        np.hypot(written.table["x"] - row["x"], written.table["y"] - row["y"]).idxmin()
    ]
    assert (changed["class_name"], changed["status"]) == ("tumor", "corrected")


class _Unsendable:
    """What no other process can have."""

    def __reduce__(self) -> Any:
        raise TypeError("stays here")


def _slowly(block: npt.NDArray[np.uint8], lock: Any) -> npt.NDArray[np.uint8]:
    return block
