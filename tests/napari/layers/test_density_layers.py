"""Images of the density of nuclei."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from muse_core.nuclei.scheme import NucleusClass
from napari_muse.annotations.coordinates import Placement
from napari_muse.layers.density_layers import Densities, DensityLayers, densities

PLACE = Placement.of_mpp(0.5)
RED, BLUE, GREEN = (
    NucleusClass("tumor", "#ff0000"),
    NucleusClass("stroma", "#0000ff"),
    NucleusClass("immune", "#00ff00"),
)


def _some(n_classes: int = 2) -> Densities:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 640, 500), rng.uniform(0, 320, 500)
    return densities(x, y, rng.integers(0, n_classes, 500, np.int32), n_classes, (640, 320))


def _images(viewer: ViewerModel) -> list[Any]:
    return [layer for layer in viewer.layers if layer.name.startswith("Density")]


def test_nuclei_are_counted_in_their_bin_and_class() -> None:
    # Bins of 32 px; the last nucleus lies on the slide's far corner and belongs to the last bin.
    x, y = np.array([0.0, 31.9, 32.0, 64.0]), np.array([0.0, 0.0, 0.0, 48.0])
    counted = densities(x, y, np.array([0, 0, 1, 1]), 2, (64, 48))
    assert counted.bin_px == 32
    assert counted.counts.tolist() == [[[2, 0], [0, 0]], [[0, 1], [0, 1]]]


def test_bins_of_a_large_slide_are_few() -> None:
    counted = densities(np.zeros(1), np.zeros(1), np.zeros(1, int), 3, (90_000, 30_000))
    assert counted.counts.shape == (3, 500, 1500)
    assert counted.bin_px == 60


def test_full_is_the_crowd_of_the_classes_that_are_shown() -> None:
    counts = np.zeros((2, 1, 11), np.float32)
    counts[0, 0] = np.arange(11)
    counts[1, 0] = 100
    counted = Densities(counts, 32.0)
    # Bins of class 0 hold 1 to 10; nine tenths between them is 9.1.
    assert counted.full([0]) == pytest.approx(9.1)
    assert counted.full([0, 1]) == pytest.approx(109)
    assert counted.full([]) == 1


def test_an_image_for_each_class_in_its_colour() -> None:
    viewer = ViewerModel()
    nuclei = viewer.add_points(np.zeros((0, 2)), name="Nuclei", units=("um", "um"))
    shown = DensityLayers(viewer)
    counted = _some()
    shown.show(counted, [RED, BLUE], (), PLACE)
    images = _images(viewer)
    assert [layer.name for layer in images] == ["Density: tumor", "Density: stroma"]
    assert all(layer.visible for layer in images)
    np.testing.assert_array_equal(images[1].data, counted.counts[1])
    np.testing.assert_allclose(images[0].colormap.map(1.0).ravel(), [1, 0, 0, 1])
    np.testing.assert_allclose(images[0].colormap.map(0.0).ravel()[3], 0)
    # Extents go from the first bin's centre, 8 um from the slide's corner, to the last one's; the
    # corner is at minus half a pixel in napari.
    np.testing.assert_allclose(images[0].extent.world, [[7.75, 7.75], [151.75, 311.75]])
    assert viewer.layers[-1] is nuclei
    assert viewer.layers.selection.active is nuclei


def test_hidden_classes_and_classes_without_nuclei_are_out_of_sight() -> None:
    viewer = ViewerModel()
    viewer.add_points(np.zeros((0, 2)), units=("um", "um"))
    shown = DensityLayers(viewer)
    empty = np.concatenate([_some().counts, np.zeros((1, 10, 20), np.float32)])
    shown.show(Densities(empty, 32.0), [RED, BLUE, GREEN], {0}, PLACE)
    assert [layer.visible for layer in _images(viewer)] == [False, True, False]
    shown.hide()
    assert not any(layer.visible for layer in _images(viewer))


def test_what_stays_the_same_is_not_drawn_anew() -> None:
    viewer = ViewerModel()
    viewer.add_points(np.zeros((0, 2)), units=("um", "um"))
    shown, counted = DensityLayers(viewer), _some()
    shown.show(counted, [RED, BLUE], (), PLACE)
    told: list[str] = []
    for layer in _images(viewer):
        for name in ("data", "colormap", "scale", "translate", "units", "visible"):
            getattr(layer.events, name).connect(lambda event: told.append(event.type))
    shown.show(counted, [RED, BLUE], {0}, PLACE)
    assert told == ["visible"]
    shown.show(counted, [GREEN, BLUE], {0}, PLACE)
    assert told == ["visible", "colormap"]


def test_images_follow_the_classes() -> None:
    viewer = ViewerModel()
    viewer.add_points(np.zeros((0, 2)), units=("um", "um"))
    shown = DensityLayers(viewer)
    shown.show(_some(), [RED, BLUE], (), PLACE)
    counted = _some(3)
    shown.show(counted, [BLUE, GREEN, RED], (), PLACE)
    images = {layer.name: layer for layer in _images(viewer)}
    assert list(images) == ["Density: stroma", "Density: immune", "Density: tumor"]
    np.testing.assert_array_equal(images["Density: tumor"].data, counted.counts[2])
    shown.show(_some(1), [GREEN], (), PLACE)
    assert [layer.name for layer in _images(viewer)] == ["Density: immune"]


def test_many_images_are_shown_and_hidden_in_one_drawing(
    make_napari_viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer()
    viewer.add_points(np.zeros((0, 2)), units=("um", "um"))
    shown, counted = DensityLayers(viewer), _some(8)
    classes = [NucleusClass(f"class {i}", "#ff0000") for i in range(8)]
    shown.show(counted, classes, (), PLACE)
    drawn: list[list[bool]] = []
    canvas = viewer.window._qt_viewer.canvas
    monkeypatch.setattr(
        canvas, "on_draw", lambda *_: drawn.append([x.visible for x in _images(viewer)])
    )
    shown.hide()
    shown.hide()
    assert drawn == [[False] * 8]
    shown.show(counted, classes, (), PLACE)
    assert drawn == [[False] * 8, [True] * 8]
    nodes = [canvas.layer_to_visual[layer].node for layer in _images(viewer)]
    assert all(node.visible and node.parent is not None for node in nodes)


def test_what_a_person_does_with_an_image_stays() -> None:
    viewer = ViewerModel()
    viewer.add_points(np.zeros((0, 2)), units=("um", "um"))
    shown, counted = DensityLayers(viewer), _some()
    shown.show(counted, [RED, BLUE], (), PLACE)
    _images(viewer)[0].visible = False
    shown.show(counted, [RED, BLUE], (), PLACE)
    assert [layer.visible for layer in _images(viewer)] == [False, True]
    viewer.layers.remove(_images(viewer)[1])
    shown.show(counted, [RED, BLUE], (), PLACE)
    assert [layer.visible for layer in _images(viewer)] == [True, True]
    np.testing.assert_array_equal(_images(viewer)[1].data, counted.counts[1])
