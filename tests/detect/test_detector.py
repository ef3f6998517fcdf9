from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from torch import Tensor

from muse_core.detect import DetectConfig, Detector, detect_image
from muse_core.detect.detector import DetectListener
from muse_core.errors import UserError
from muse_core.models.tile_detections import TileDetections
from muse_core.nuclei import NUCLEUS_COLUMNS
from muse_core.slides import PolygonRegion, Region, Slide, open_slide

from .blobs import BlobModel, Scene, save_png, scene
from .dot_runs import SMALL_TILES, note, places

ONE_TILE = DetectConfig(device="cpu", tile_px=2048, halo_px=64, cell_px=1920)


def test_all_dots_are_found_once_at_their_places_and_with_their_class(
    slide: Slide, dots: Scene
) -> None:
    table = Detector(BlobModel(), SMALL_TILES).detect(slide).table
    assert tuple(table.columns) == NUCLEUS_COLUMNS
    expected = {
        (x, y, "red" if red else "blue")
        for (x, y), red in zip(dots.centres.tolist(), dots.is_red, strict=True)
    }
    assert len(table) == len(expected)
    assert set(zip(table["x"], table["y"], table["class_name"], strict=True)) == expected
    assert table["id"].tolist() == list(range(len(table)))
    assert set(table["model"]) == {"blobs"}


@pytest.mark.parametrize("spacing", [12, 16, 32])
def test_tiled_equals_untiled_also_with_dots_on_seams_and_corners(
    tmp_path: Path, spacing: int
) -> None:
    image = scene(600, 420, spacing, seed=spacing)
    with open_slide(save_png(image.rgb, tmp_path / "dots.png"), mpp=0.5) as slide:
        tiled = Detector(BlobModel(), SMALL_TILES).detect(slide)
        untiled = Detector(BlobModel(), ONE_TILE).detect(slide)
    assert tiled.tiles_total > 9
    assert untiled.tiles_total == 1
    assert len(tiled.table) == len(image.centres)
    assert places(tiled.table) == places(untiled.table)
    whole = detect_image(BlobModel(), image.rgb, 0.5, ONE_TILE)
    assert places(whole) == places(untiled.table)


@pytest.mark.parametrize("tile_px", [192, 320, 512, 768])
def test_every_tile_size_finds_the_same_on_a_real_slide(cmu_slide: Path, tile_px: int) -> None:
    # Exactly, because this network's receptive field is within the halo.
    region = Region(700, 900, 900.5, 700)
    config = DetectConfig(device="cpu", tile_px=tile_px, halo_px=32)
    with open_slide(cmu_slide) as slide:
        model = BlobModel(mpp=slide.require_mpp())
        tiled = Detector(model, config).detect(slide, region)
        whole = Detector(model, ONE_TILE).detect(slide, region)
    assert tiled.tiles_total > whole.tiles_total == 1
    assert len(whole.table) > 300
    assert places(tiled.table) == places(whole.table)


def test_padded_tiles_find_the_same_as_tiles_of_their_own_size(tmp_path: Path) -> None:
    image = scene(2600, 2600)
    # Tissue of ragged outline, so that there are tiles of many sizes.
    rows, columns = np.ogrid[:2600, :2600]
    glass = np.hypot(rows - 1200, columns - 1300) > 900 + 300 * np.sin(columns / 130)
    image.rgb[glass] = 255
    config = DetectConfig(device="cpu", halo_px=32)
    with open_slide(save_png(image.rgb, tmp_path / "dots.png"), mpp=0.5) as slide:
        detectors = [Detector(BlobModel(), config) for _ in range(2)]
        detectors[1].backend.prepares_sizes = True
        own, shared = (detector.search(slide, None).plan for detector in detectors)
        as_they_are, padded = (detector.detect(slide).table for detector in detectors)
    sizes = [{plan.network_size(tile) for tile in plan.tiles} for plan in (own, shared)]
    assert len(sizes[1]) < len(sizes[0])
    assert len(padded) > 15_000
    assert places(padded) == places(as_they_are)


def test_a_slide_of_another_scale_keeps_its_own_pixels(tmp_path: Path) -> None:
    coarse = scene(300, 200, 16)
    fine = coarse.rgb.repeat(4, axis=0).repeat(4, axis=1)
    with open_slide(save_png(fine, tmp_path / "fine.png"), mpp=0.125) as slide:
        table = Detector(BlobModel(), SMALL_TILES).detect(slide).table
    found = np.array(sorted(zip(table["x"], table["y"], strict=True)))
    expected = np.array(sorted(map(tuple, coarse.centres * 4)))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1.0)


def test_jpeg_tiles_of_a_slide_of_twice_the_scale_are_decoded_at_half_size(tmp_path: Path) -> None:
    coarse = scene(300, 200, 16)
    fine = coarse.rgb.repeat(2, axis=0).repeat(2, axis=1)
    path = tmp_path / "fine.tiff"
    args = {"level": 98}
    tifffile.imwrite(
        path, fine, tile=(128, 128), photometric="rgb", compression="jpeg", compressionargs=args
    )
    for half_jpeg in (True, False):
        config = replace(SMALL_TILES, half_jpeg=half_jpeg)
        with open_slide(path, mpp=0.2525) as slide:
            detector = Detector(BlobModel(mpp=0.5), config)
            # 2% off the model's scale: read as decoded, not resampled.
            assert detector.scale_on(slide) == pytest.approx(2.0 if half_jpeg else 0.5 / 0.2525)
            result = detector.detect(slide)
        assert result.half_jpeg is half_jpeg
        table = result.table.sort_values(["y", "x"])
        assert len(table) == len(coarse.centres)
        for x, y in zip(table["x"], table["y"], strict=True):
            assert np.abs(2 * coarse.centres - (x, y)).max(axis=1).min() <= 1.0


@pytest.mark.parametrize("mpp", [0.4902, 0.499, 0.5, 0.5098])
def test_a_level_near_the_models_scale_is_read_as_it_is_stored(tmp_path: Path, mpp: float) -> None:
    image = scene(500, 300, 16)
    with open_slide(save_png(image.rgb, tmp_path / "dots.png"), mpp=mpp) as slide:
        table = Detector(BlobModel(mpp=0.5), SMALL_TILES).detect(slide).table
    # Exactly; with resampling they would be off by a fraction of a pixel.
    assert {(x, y) for x, y in zip(table["x"], table["y"], strict=True)} == set(
        map(tuple, image.centres.tolist())
    )


def test_positions_do_not_drift_over_a_wide_slide(tmp_path: Path) -> None:
    wide = scene(6000, 80, 16)
    mpp = 0.47
    with open_slide(save_png(wide.rgb, tmp_path / "wide.png"), mpp=mpp) as slide:
        table = Detector(BlobModel(mpp=0.5), SMALL_TILES).detect(slide).table
    centres = wide.centres
    for low, high in ((0, 500), (5500, 6000)):
        near = table[(table["x"] >= low) & (table["x"] < high)]
        offsets = []
        for x, y in zip(near["x"], near["y"], strict=True):
            nearest = centres[np.abs(centres - (x, y)).sum(axis=1).argmin()]
            offsets.append((x, y) - nearest)
        assert len(offsets) > 50
        np.testing.assert_allclose(np.mean(offsets, axis=0), 0, atol=0.25)


def test_a_region_gives_what_the_whole_slide_gives_there(slide: Slide) -> None:
    region = Region(133.3, 71.9, 250.5, 180.25)
    whole = Detector(BlobModel(), SMALL_TILES).detect(slide).table
    part = Detector(BlobModel(), SMALL_TILES).detect(slide, region).table
    expected = whole[region.contains(whole["x"].to_numpy(), whole["y"].to_numpy())]
    assert len(expected) > 50
    assert places(part) == places(expected)


def test_overlapping_polygons_give_their_nuclei_once(slide: Slide) -> None:
    shapes = [
        PolygonRegion(((20, 20), (420, 60), (200, 400))),
        PolygonRegion(((150, 50), (690, 100), (300, 480))),
    ]
    whole = Detector(BlobModel(), SMALL_TILES).detect(slide).table
    part = Detector(BlobModel(), SMALL_TILES).detect(slide, shapes).table
    x, y = whole["x"].to_numpy(), whole["y"].to_numpy()
    expected = whole[shapes[0].contains(x, y) | shapes[1].contains(x, y)]
    assert len(expected) > 200
    assert places(part) == places(expected)


def test_tissue_where_shapes_overlap_counts_once(slide: Slide) -> None:
    left, right = Region(0, 0, 400, 500), Region(200, 0, 500, 500)
    whole = Detector(BlobModel(), ONE_TILE).detect(slide)
    both = Detector(BlobModel(), ONE_TILE).detect(slide, [left, right])
    assert len(both.table) == len(whole.table)
    assert whole.tissue_mm2 > 0
    assert both.tissue_mm2 == pytest.approx(whole.tissue_mm2, rel=0.01)


def test_what_streams_is_what_is_returned_in_the_same_order_every_time(slide: Slide) -> None:
    results = []
    for readers in (1, 4):
        config = DetectConfig(device="cpu", tile_px=192, halo_px=32, batch=2, readers=readers)
        chunks: list[TileDetections] = []
        steps: list[tuple[int, int]] = []
        result = Detector(BlobModel(), config).detect(
            slide, listener=DetectListener(partial(note, steps), on_nuclei=chunks.append)
        )
        assert len(chunks) > 2
        streamed = TileDetections.join(chunks)
        np.testing.assert_array_equal(streamed.xy, result.table[["x", "y"]])
        np.testing.assert_array_equal(streamed.score, result.table["score"])
        names = np.array([entry["name"] for entry in BlobModel().card.classes])
        assert (names[streamed.class_index] == result.table["class_name"]).all()
        assert steps[0] == (0, result.tiles_total)
        assert steps[-1] == (result.tiles_total, result.tiles_total)
        assert [d for d, _ in steps] == sorted(d for d, _ in steps)
        results.append(result.table)
    pd.testing.assert_frame_equal(*results)


def test_what_lies_at_the_focus_is_found_first_and_all_is_found(slide: Slide) -> None:
    chunks: list[TileDetections] = []
    detector = Detector(BlobModel(), SMALL_TILES)
    row_by_row = detector.detect(slide).table
    listener = DetectListener(on_nuclei=chunks.append)
    outwards = detector.detect(slide, listener=listener, focus=(600, 400)).table
    assert places(outwards) == places(row_by_row)
    far = [np.hypot(chunk.x - 600, chunk.y - 400).mean() for chunk in chunks]
    assert far[0] == min(far)


def test_cancel_keeps_what_was_found(slide: Slide) -> None:
    whole = Detector(BlobModel(), SMALL_TILES).detect(slide).table
    done = 0

    def watch(tiles: int, total: int, message: str) -> None:
        nonlocal done
        done = tiles

    full = Detector(BlobModel(), SMALL_TILES).detect(slide)
    result = Detector(BlobModel(), SMALL_TILES).detect(
        slide, listener=DetectListener(watch, lambda: done >= 6)
    )
    assert result.cancelled
    assert 6 <= result.tiles_done < result.tiles_total
    assert 0 < len(result.table) < len(whole)
    assert places(result.table) <= places(whole)
    assert 0 < result.tissue_mm2 < full.tissue_mm2


def test_cancel_before_the_start_gives_an_empty_table(slide: Slide) -> None:
    listener = DetectListener(should_cancel=lambda: True)
    result = Detector(BlobModel(), SMALL_TILES).detect(slide, listener=listener)
    assert result.cancelled
    assert len(result.table) == 0
    assert result.tissue_mm2 == 0


def test_a_slide_without_tissue_gives_no_nuclei_and_is_no_error(tmp_path: Path) -> None:
    glass = np.full((400, 400, 3), 250, np.uint8)
    with open_slide(save_png(glass, tmp_path / "glass.png"), mpp=0.5) as slide:
        result = Detector(BlobModel(), SMALL_TILES).detect(slide)
    assert (len(result.table), result.tissue_mm2, result.tiles_total) == (0, 0, 0)
    assert not result.cancelled


def test_the_score_threshold_is_the_cards_unless_another_is_given(slide: Slide) -> None:
    table = Detector(BlobModel(), SMALL_TILES).detect(slide).table
    levels = np.unique(table["score"])
    middle = float(levels[len(levels) // 2 : len(levels) // 2 + 2].mean())
    config = DetectConfig(device="cpu", tile_px=192, halo_px=32, min_score=middle)
    fewer = Detector(BlobModel(), config).detect(slide).table
    assert places(fewer) == places(table[table["score"] >= middle])
    assert 0 < len(fewer) < len(table)


def test_a_slide_of_unknown_scale_is_refused(dots: Scene, tmp_path: Path) -> None:
    with (
        open_slide(save_png(dots.rgb, tmp_path / "dots.png")) as unknown,
        pytest.raises(UserError, match="scale"),
    ):
        Detector(BlobModel(), SMALL_TILES).detect(unknown)


def test_detect_image_answers_in_pixels_of_the_image_given() -> None:
    coarse = scene(203, 121, 16)
    fine = coarse.rgb.repeat(3, axis=0).repeat(3, axis=1)
    table = detect_image(BlobModel(mpp=0.75), fine, 0.25, DetectConfig(device="cpu"))
    found = np.array(sorted(zip(table["x"], table["y"], strict=True)))
    expected = np.array(sorted(map(tuple, coarse.centres * 3)))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=0.6)


def test_detect_image_is_exact_when_rounding_stretches_the_image() -> None:
    image = scene(333, 333, 16)
    table = detect_image(BlobModel(mpp=0.5), image.rgb, 0.487, DetectConfig(device="cpu"))
    assert len(table) == len(image.centres)
    for x, y in zip(table["x"], table["y"], strict=True):
        assert np.abs(image.centres - (x, y)).max(axis=1).min() < 0.75


def test_detect_image_goes_over_a_large_image_in_tiles() -> None:
    sides: list[int] = []

    class Watched(BlobModel):
        def predict(
            self, image: Tensor, min_score: float | None = None, features: bool = False
        ) -> list[TileDetections]:
            sides.extend(image.shape[-2:])
            return super().predict(image, min_score, features)

    image = scene(2500, 300, 16)
    table = detect_image(Watched(), image.rgb, 0.5, DetectConfig(device="cpu"))
    assert max(sides) <= 1024
    assert table["score"].is_monotonic_decreasing
    found = np.array(sorted(zip(table["x"], table["y"], strict=True)))
    np.testing.assert_allclose(found, np.array(sorted(map(tuple, image.centres))), atol=0.25)
    # One that fits is not parted.
    sides.clear()
    detect_image(Watched(), image.rgb[:, :2000], 0.5, DetectConfig(device="cpu"))
    assert max(sides) >= 2000


def test_nothing_is_looked_for_where_no_nucleus_can_be_seen(slide: Slide) -> None:
    detector = Detector(BlobModel(mpp=0.04), SMALL_TILES)
    with pytest.raises(UserError, match=r"At 0\.5 microns per pixel nuclei cannot be seen"):
        detector.detect(slide)
    with pytest.raises(UserError, match=r"At 0\.5 microns per pixel nuclei cannot be seen"):
        detector.detect_image(np.zeros((10, 10, 3), np.uint8), 0.5)


def test_detect_image_of_nothing_is_an_empty_table() -> None:
    table = detect_image(
        BlobModel(), np.full((50, 70, 3), 255, np.uint8), 0.5, DetectConfig(device="cpu")
    )
    assert tuple(table.columns) == NUCLEUS_COLUMNS
    assert len(table) == 0
