from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from muse_core.errors import UserError
from muse_core.slides import PolygonRegion, Region, TissueMask, open_slide, tissue_mask
from muse_core.slides.tissue import tissue_in_thumbnail

from .slide_files import write_pyramid_tiff


def glass(
    rng: np.random.Generator, colour: tuple[int, int, int], sd: float, side: int = 250
) -> Any:
    """Glass at 8 um/px: shading, dust and residual sensor noise after averaging."""
    y, x = np.mgrid[0:side, 0:side] / side
    shade = 1 - 0.04 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    image = np.array(colour) * shade[:, :, None] + rng.normal(0, sd, (side, side, 3))
    for row, col in rng.integers(0, side, (20, 2)):
        image[row : row + 2, col : col + 2] = 110
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("colour", "sd"),
    [
        ((255, 255, 255), 0.0),
        ((243, 243, 244), 0.5),
        ((238, 232, 240), 1.0),
        ((215, 218, 221), 1.2),
        ((240, 236, 228), 1.0),
    ],
)
def test_bare_glass_has_no_tissue(colour: tuple[int, int, int], sd: float) -> None:
    assert tissue_in_thumbnail(glass(np.random.default_rng(0), colour, sd), 8.0).sum() == 0


def test_black_border_and_ink_are_no_tissue_but_tissue_beside_is() -> None:
    image = glass(np.random.default_rng(1), (242, 241, 240), 1.0)
    image[:, :20] = 3  # scan border
    image[20:60, 60:200] = (30, 120, 60)  # green pen
    image[80:110, 60:200] = (40, 60, 160)  # blue pen
    image[150:200, 100:200] = (200, 130, 180)
    mask = tissue_in_thumbnail(image, 8.0)
    assert mask[152:198, 102:198].all()
    mask[140:210, 90:210] = False
    assert mask.mean() < 0.01


def test_real_slide(cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as slide:
        found = tissue_mask(slide)
        assert found.px_per_level0 == pytest.approx(0.499 / 8)
        # Skin in the middle, dermis at the bottom; glass left, right and in the top corners.
        assert found.fraction(Region(970, 1220, 150, 160)) > 0.98
        assert found.fraction(Region(900, 2500, 400, 400)) > 0.98
        assert found.fraction(Region(0, 1300, 500, 1000)) == 0
        assert found.fraction(Region(1900, 1600, 300, 1300)) < 0.02
        assert found.fraction(Region(0, 0, 600, 600)) < 0.02
        assert 0.60 < found.area_mm2(0.499) < 0.85


def test_prostate(muse_data: Path) -> None:
    with open_slide(muse_data / "unlabeled" / "prostate_slide.jpeg", mpp=0.5) as slide:
        found = tissue_mask(slide)
    assert found.fraction(Region(900, 300, 800, 400)) > 0.99
    assert found.fraction(Region(1250, 1250, 500, 500)) > 0.99
    assert found.mask.mean() > 0.75


def test_arrayed_cores_on_glass(muse_data: Path) -> None:
    with open_slide(muse_data / "unlabeled" / "tma_spots.jpeg", mpp=2.0) as slide:
        found = tissue_mask(slide)
    assert found.fraction(Region(0, 0, 1331, 1000)) == 0
    assert 75 <= ndimage.label(found.mask)[1] <= 110


def test_tiles_full_of_tissue_are_full(muse_data: Path) -> None:
    tiles = sorted((muse_data / "brcam2c" / "train" / "images").iterdir())
    shares = []
    for tile in tiles:
        with open_slide(tile, mpp=0.5) as slide:
            shares.append(tissue_mask(slide).mask.mean())
    assert len(shares) == 80
    assert min(shares) > 0.8
    assert np.mean(np.array(shares) > 0.98) > 0.95


def test_finds_the_labelled_nuclei(muse_data: Path) -> None:
    """Tissue outside the mask is never searched, so almost no labelled nucleus may be there."""
    inside = total = 0
    for folder in ("brcam2c/train", "consep20x/train"):
        for points in sorted((muse_data / folder / "points").glob("*.csv")):
            image = next((muse_data / folder / "images").glob(f"{points.stem}.*"))
            x, y = np.loadtxt(points, delimiter=",", skiprows=1, usecols=(0, 1), ndmin=2).T
            with open_slide(image, mpp=0.5) as slide:
                found = tissue_mask(slide)
            rows = np.minimum((y * found.px_per_level0).astype(int), found.mask.shape[0] - 1)
            cols = np.minimum((x * found.px_per_level0).astype(int), found.mask.shape[1] - 1)
            inside += int(found.mask[rows, cols].sum())
            total += len(x)
    assert total > 30_000
    assert inside / total > 0.995


def test_without_scale_it_says_so(tmp_path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(tmp_path / "p.png")
    with open_slide(tmp_path / "p.png") as slide, pytest.raises(UserError, match="--mpp"):
        tissue_mask(slide)


mask = TissueMask(np.random.default_rng(3).random((40, 50)) > 0.5, 1 / 16)
spans = st.floats(0.1, 900.0)


@given(st.floats(-300, 900), st.floats(-300, 900), spans, spans, st.floats(0.05, 0.95))
def test_area_adds_up_over_parts(x: float, y: float, w: float, h: float, cut: float) -> None:
    whole = Region(x, y, w, h)
    left, right = Region(x, y, w * cut, h), Region(x + w * cut, y, w * (1 - cut), h)
    parts = mask.area_mm2(0.5, left) + mask.area_mm2(0.5, right)
    assert parts == pytest.approx(mask.area_mm2(0.5, whole), abs=1e-9)
    assert 0 <= mask.fraction(whole) <= 1 + 1e-12
    assert mask.fraction(whole) * w * h * 0.25e-6 == pytest.approx(mask.area_mm2(0.5, whole))


def test_area_against_counting() -> None:
    full = TissueMask(np.ones((40, 50), bool), 1 / 16)
    assert full.area_mm2(0.5) == pytest.approx(800 * 640 * 0.25e-6)
    assert full.fraction(Region(-800, 0, 1600, 640)) == pytest.approx(0.5)
    assert full.fraction(Region(2000, 2000, 10, 10)) == 0
    triangle = PolygonRegion(((0, 0), (800, 0), (0, 640)))
    assert full.area_mm2(0.5, triangle) == pytest.approx(800 * 640 / 2 * 0.25e-6, rel=0.03)
    assert mask.area_mm2(0.5) == pytest.approx(mask.mask.sum() * 256 * 0.25e-6)


def test_memory_of_a_large_one_level_slide_stays_small(tmp_path: Path) -> None:
    """12,000 x 12,000 px in one level, 430 MB decoded, is processed block by block."""
    tile = np.full((1024, 1024, 3), 243, np.uint8)
    tile[300:700, 300:700] = (200, 120, 180)
    path = tmp_path / "large.tif"
    tifffile.imwrite(
        path,
        (tile for _ in range(144)),
        shape=(12_000, 12_000, 3),
        dtype="uint8",
        tile=(1024, 1024),
        photometric="rgb",
        compression="jpeg",
        metadata=None,
    )
    with open_slide(path, mpp=0.5) as slide:
        tracemalloc.start()
        found = tissue_mask(slide)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert found.mask.shape == (750, 750)
    assert 0.15 < found.mask.mean() < 0.25
    assert peak < 300e6


def test_points_are_on_tissue_where_the_mask_is_set() -> None:
    mask = TissueMask(np.array([[True, False], [False, False]]), px_per_level0=0.1)
    x = np.array([0.0, 9.99, 10.0, -0.1, 5.0, 25.0])
    y = np.array([0.0, 9.99, 5.0, 5.0, 25.0, 5.0])
    assert mask.contains(x, y).tolist() == [True, True, False, False, False, False]


def test_the_last_pixel_of_the_mask_reaches_to_the_edge_of_the_slide(tmp_path: Path) -> None:
    """1038 x 1030 px at 0.5 um/px are 64.9 x 64.4 mask pixels, so the mask has 65 x 64."""
    rgb = np.full((1030, 1038, 3), (200, 120, 180), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "full.png")
    with open_slide(tmp_path / "full.png", mpp=0.5) as slide:
        found = tissue_mask(slide)
        width, height = slide.width, slide.height
    assert found.mask.shape == (64, 65)
    assert height * found.px_per_level0 > 64, "else this tests nothing"
    edge_x, edge_y = width - 0.01, height - 0.01
    x = np.array([edge_x, edge_x, 5.0, 5.0, width + 16.0, -0.1])
    y = np.array([5.0, edge_y, edge_y, height + 16.0, 5.0, edge_y])
    assert found.contains(x, y).tolist() == [True, True, True, False, False, False]


@given(
    seed=st.integers(0, 2**32),
    scale=st.floats(0.01, 1.0),
    start=st.floats(0, 200),
    step=st.floats(3, 90),
)
@settings(max_examples=60, deadline=None)
def test_fractions_of_a_grid_are_those_of_its_cells(
    seed: int, scale: float, start: float, step: float
) -> None:
    mask = TissueMask(np.random.default_rng(seed).random((17, 23)) < 0.4, scale)
    x = start + step * np.arange(8, dtype=np.float64)
    y = start / 2 + step * np.arange(6, dtype=np.float64)
    found = mask.fractions(x, y)
    assert found.shape == (5, 7)
    for row in range(5):
        for column in range(7):
            expected = mask.fraction(Region(x[column], y[row], step, step))
            assert found[row, column] == pytest.approx(expected, abs=1e-9)
            assert (found[row, column] > 0) == (expected > 1e-9)


def damaged_slide(path: Path, tiles: list[int]) -> Path:
    """A slide of 1024 px with one level, tissue in its left half, and damaged tiles of 128 px."""
    rgb = np.full((1024, 1024, 3), 240, np.uint8)
    rgb[:, :512] = 200, 120, 170
    write_pyramid_tiff(path, [rgb], compression="zlib")
    with tifffile.TiffFile(path) as tif:
        offsets = tif.pages.first.dataoffsets
    with path.open("r+b") as file:
        for tile in tiles:
            file.seek(offsets[tile])
            file.write(b"\xff" * 8)
    return path


def test_what_cannot_be_read_counts_as_tissue(tmp_path: Path) -> None:
    with open_slide(damaged_slide(tmp_path / "sound.tif", []), mpp=1.0) as slide:
        sound = tissue_mask(slide)
    with open_slide(damaged_slide(tmp_path / "damaged.tif", [7]), mpp=1.0) as slide:
        found = tissue_mask(slide)
    assert found.px_per_level0 == sound.px_per_level0
    damaged = Region(7 * 128.0, 0.0, 128.0, 128.0)
    assert sound.fraction(damaged) == 0
    assert found.fraction(damaged) == 1
    for elsewhere in (Region(0, 0, 512, 1024), Region(512, 600, 512, 424)):
        assert found.fraction(elsewhere) == pytest.approx(sound.fraction(elsewhere), abs=0.01)
    assert sound.fraction(Region(0, 0, 512, 1024)) == 1


def test_a_slide_of_which_nothing_can_be_read_is_damaged(tmp_path: Path) -> None:
    path = damaged_slide(tmp_path / "damaged.tif", list(range(64)))
    with (
        open_slide(path, mpp=1.0) as slide,
        pytest.raises(UserError, match=r"damaged\.tif is damaged or truncated"),
    ):
        tissue_mask(slide)
