"""What is read of a region of which some pixels cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.slides import Region, Slide, open_slide, readable
from muse_core.slides.readable import read_readable

from ..detect.blobs import save_png, scene
from ..detect.dot_runs import DAMAGED, BrokenReads

TILE = Region(130, 90, 256, 320)
MPP = 0.5


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    path = save_png(scene(700, 500).rgb, tmp_path_factory.mktemp("dots") / "dots.png")
    return open_slide(path, mpp=MPP)


@pytest.fixture(scope="module", autouse=True)
def no_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readable, "TRY_AGAIN_AFTER_S", (0.0, 0.0))
        yield


@given(
    left=st.integers(-200, 650),
    top=st.integers(-200, 450),
    width=st.integers(33, 299),
    height=st.integers(33, 400),
    x=st.floats(0, 0.98),
    y=st.floats(0, 0.98),
    w=st.floats(0.01, 0.9),
    h=st.floats(0.01, 0.9),
)
@settings(max_examples=60)
def test_all_that_can_be_read_is_there_and_the_rest_is_white_and_told(
    slide: Slide, left: int, top: int, width: int, height: int, **hole: Any
) -> None:
    region = Region(left, top, width, height)
    x, y = left + hole["x"] * width, top + hole["y"] * height
    lost_in_truth = Region(x, y, hole["w"] * width, hole["h"] * height)
    broken = BrokenReads(slide, lost_in_truth, DAMAGED)
    image, told = read_readable(broken, region, MPP)
    whole, nothing = read_readable(slide, region, MPP)
    assert nothing == ()
    assert whole is not None
    rows, columns = np.mgrid[:height, :width] + 0.5
    at = left + columns, top + rows
    told_px = np.zeros((height, width), dtype=bool)
    for place in told:
        assert slide.bounds.holds(place.region)
        assert place.reason == "The file is damaged."
        told_px |= place.region.contains(*at)
    on_slide, lost = slide.bounds.contains(*at), lost_in_truth.contains(*at)
    assert not (lost & on_slide & ~told_px).any()
    if image is None:
        assert (told_px == on_slide).all()
        return
    assert ((image == whole).all(axis=2) | told_px)[on_slide].all()
    assert (image[lost] == 255).all()
    # A piece is at most a sixteenth of the region, and has a part in what is lost.
    dx, dy = width / 16 + 1, height / 16 + 1
    assert not (
        told_px
        & ~Region(x - dx, y - dy, lost_in_truth.w + 2 * dx, lost_in_truth.h + 2 * dy).contains(*at)
    ).any()


def test_at_another_scale_it_is_what_is_read_piece_by_piece(slide: Slide) -> None:
    class Coarser(BrokenReads):
        def read(self, region: Region, mpp: float | None = None, half: bool = False) -> np.ndarray:
            if region.touches(self.broken):
                raise self.error
            return slide.read(region, mpp, half)

    hole = Region(200, 200, 5, 5)
    image, (place,) = read_readable(Coarser(slide, hole, DAMAGED), TILE, 1.0)
    whole = slide.read(TILE, 1.0)
    assert image is not None
    assert image.shape == whole.shape == (160, 128, 3)
    assert place.region.holds(hole)
    # Beside a piece's edge pixels are made of those on one side alone.
    assert np.median(np.abs(image.astype(int) - whole)) == 0
    assert place.region.area_px <= (3 * 256 / 16) * (3 * 320 / 16)


def test_of_what_nothing_can_be_read_it_is_given_up_early(slide: Slide) -> None:
    broken = BrokenReads(slide, slide.bounds, DAMAGED)
    image, (place,) = read_readable(broken, TILE, MPP)
    assert image is None
    assert place.region == TILE
    # Three times as a whole, then in 2 x 2, 4 x 4 and 8 x 8 pieces.
    assert sum(broken.tries.values()) == 3 + 4 + 16 + 64


def test_what_is_smaller_than_its_parts_would_be_is_lost_as_a_whole(slide: Slide) -> None:
    broken = BrokenReads(slide, slide.bounds, DAMAGED)
    image, (place,) = read_readable(broken, Region(-5, 20, 12, 300), MPP)
    assert image is None
    assert place.region == Region(0, 20, 7, 300)


def test_a_disk_that_takes_long_for_each_piece_is_not_asked_for_all(
    slide: Slide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readable, "_SEARCH_S", 0.0)
    broken = BrokenReads(slide, Region(200, 200, 9, 9), DAMAGED)
    image, (place,) = read_readable(broken, TILE, MPP)
    assert image is None
    assert place.region == TILE
    assert sum(broken.tries.values()) == 3


def test_what_can_be_read_the_third_time_is_whole(slide: Slide) -> None:
    shaky = BrokenReads(slide, Region(200, 200, 9, 9), OSError(5, "Input/output error"), times=2)
    image, told = read_readable(shaky, TILE, MPP)
    assert told == ()
    assert image is not None
    np.testing.assert_array_equal(image, slide.read(TILE, MPP))


def test_a_file_that_is_gone_is_no_damage(tmp_path: Path) -> None:
    path = save_png(scene(300, 300).rgb, tmp_path / "s.png")
    with open_slide(path, mpp=MPP) as slide:
        path.unlink()
        with pytest.raises(UserError, match=r"s\.png is not there any more; was its drive taken"):
            read_readable(BrokenReads(slide, slide.bounds, DAMAGED), Region(0, 0, 200, 200), MPP)
