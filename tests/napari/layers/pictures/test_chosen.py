"""Images in the window from elsewhere: arrays of the console, layers of other plugins."""

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
from qtpy.QtCore import Qt

from muse_core.jobs import DetectJob, Done
from muse_core.nuclei import read_nuclei
from muse_core.slides import Region
from napari_muse.jobs.detection import Detection
from napari_muse.panels.muse_panel import MusePanel

from ....job_inputs import write_model
from ...actions import click, press
from ...kept_viewer import undrawn
from .console import LEFT, RGB, choose, listed, tissue


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
    assert panel.detect.scale.hint.isVisible()


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
        (RGB, {"scale": (0.5, 0.5), "units": ("mm", "um")}, "in millimeter down and in micrometer"),
    ],
)
def test_what_cannot_be_is_told_why(
    panel: MusePanel, add: Callable[..., Any], data: Any, settings: dict[str, Any], reason: str
) -> None:
    # Mesa crashes when it draws nuclei after a rotated or mirrored image.
    with undrawn(panel.session.viewer):
        add(data, name="other", **settings)
        assert panel.session.slide is None
        assert panel.detect.message.text().startswith("“other” ") or "of “other”" in (
            panel.detect.message.text()
        )
        assert reason in panel.detect.message.text()
        assert panel.picture.isVisible()
        panel.session.viewer.layers.clear()


def test_labels_are_no_picture_and_chosen_in_vain(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    layer = add(RGB, name="console", scale=(0.5, 0.5), units=("um", "um"))
    panel.session.viewer.add_labels(np.zeros((300, 400), int), name="cells")
    assert listed(panel) == ["cells", "console"]
    assert panel.picture.isVisible()
    choose(panel, "cells", qtbot)
    assert "“cells” holds labels and no picture" in panel.status.text()
    assert panel.session.image_layer is layer
    choose(panel, "console", qtbot)
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
    choose(panel, "two", qtbot)
    assert panel.session.image_layer is two
    assert (one.visible, two.visible) == (False, True)
    assert not panel.session.mpp, "that of the other is not taken over with its units"
    choose(panel, "one", qtbot)
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
    assert listed(panel) == ["small.tif", "console"]
    choose(panel, "console", qtbot)
    assert session.image_layer is picture


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
    choose(panel, "lazy", qtbot)
    assert "cannot be read: OSError: the disk is away" in panel.status.text()
    assert panel.session.require_slide().name == "good"
    fails[0] = False
    choose(panel, "lazy", qtbot)
    assert panel.session.require_slide().name == "lazy"


def test_a_layer_of_another_reader_is_the_slide_of_its_file(
    panel: MusePanel, small_slide: Path, qtbot: Any
) -> None:
    """The job reads the file; annotations and scale are those of the file."""
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
    choose(panel, "changed", qtbot)
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
    pixels = tissue(600, 800)
    y, x = np.mgrid[:600, :800]
    for cx, cy in rng.uniform((0, 0), (800, 600), (300, 2)):
        pixels[np.hypot(x - cx, y - cy) < rng.uniform(4, 9)] = (70, 40, 120)
    # An in-memory pyramid: the job gets it tile by tile from this process.
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
    """An array that cannot be sent to another process."""

    def __reduce__(self) -> Any:
        raise TypeError("stays here")


def _slowly(block: npt.NDArray[np.uint8], lock: Any) -> npt.NDArray[np.uint8]:
    return block


def test_the_status_bar_offers_muses_keys_on_an_image_of_the_console(
    panel: MusePanel, add: Any, qtbot: Any
) -> None:
    viewer, layer = panel.session.viewer, add(RGB)
    for mode in ("transform", "pan_zoom"):
        layer.mode = mode
        qtbot.wait(20)
        assert viewer.help.startswith("1 to 9 class, Space confirm")
    layer.data = RGB / 255
    layer.mode = "transform"
    assert "use <" in viewer.help, "napari's keys again, for it is no slide any more"
