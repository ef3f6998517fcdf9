"""Detection when tiles, memory or callbacks fail."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
import torch

from muse_core.detect import DetectConfig, Detector
from muse_core.detect.detector import DetectListener
from muse_core.errors import UserError
from muse_core.models.tile_detections import TileDetections
from muse_core.slides import Region, Slide
from muse_core.slides.unreadable import place_of

from .blobs import BlobModel
from .dot_runs import DAMAGED, SMALL_TILES, BrokenReads, places


def no_reader_is_left() -> bool:
    return not [t for t in threading.enumerate() if t.name.startswith("tile-reader")]


def test_a_slide_of_which_no_tile_can_be_read_is_an_error(slide: Slide) -> None:
    broken = BrokenReads(slide, slide.bounds, DAMAGED)
    with pytest.raises(UserError, match="damaged"):
        Detector(BlobModel(), SMALL_TILES).detect(broken)
    assert no_reader_is_left()


def test_a_tile_that_can_be_read_the_third_time_lacks_nothing(slide: Slide) -> None:
    error = OSError(5, "Input/output error")
    shaky = BrokenReads(slide, Region(200, 0, 9, 900), error, times=2)
    result = Detector(BlobModel(), SMALL_TILES).detect(shaky)
    assert result.unreadable == ()
    whole = Detector(BlobModel(), SMALL_TILES).detect(slide).table
    pd.testing.assert_frame_equal(result.table, whole)


def corners(region: Region) -> tuple[float, float, float, float]:
    return region.x, region.y, region.x1, region.y1


HOLE = Region(230, 130, 60, 40)


def test_unreadable_places_are_told_and_everything_beside_them_is_found(slide: Slide) -> None:
    broken = BrokenReads(slide, HOLE, DAMAGED)
    result = Detector(BlobModel(), SMALL_TILES).detect(broken)
    whole = Detector(BlobModel(), SMALL_TILES).detect(slide).table
    assert result.tiles_total == result.tiles_done
    assert {u.reason for u in result.unreadable} == {"The file is damaged."}
    told = shapely.union_all([shapely.box(*corners(u.region)) for u in result.unreadable])
    hole = shapely.box(*corners(HOLE))
    assert told.covers(hole)
    # The side of a piece is a sixteenth of that of a tile.
    piece_px = 2 * 192 / 16
    assert hole.buffer(piece_px, join_style="mitre").covers(told)
    lost = shapely.contains_xy(told, whole["x"], whole["y"])
    # Beside the place nuclei are cut off, and others' blobs lack a part.
    near = shapely.contains_xy(told.buffer(20), whole["x"], whole["y"])
    assert lost.any()
    assert not near.all()
    assert places(whole[~near]) <= places(result.table)
    assert not shapely.contains_xy(told, result.table["x"], result.table["y"]).any()
    assert result.table.attrs["unreadable_px"] == [place_of(u.region) for u in result.unreadable]
    assert no_reader_is_left()


def test_a_callbacks_error_reaches_the_caller_and_ends_the_threads(slide: Slide) -> None:
    def refuse(found: TileDetections) -> None:
        raise BrokenPipeError("the reader is gone")

    with pytest.raises(BrokenPipeError):
        Detector(BlobModel(), SMALL_TILES).detect(slide, listener=DetectListener(on_nuclei=refuse))
    assert not [t for t in threading.enumerate() if t.name.startswith("tile-reader")]


def test_tiles_read_ahead_are_bounded(slide: Slide) -> None:
    class Counting(Slide):
        ahead = 0
        most = 0

        def read(self, region: Region, mpp: float | None = None, half: bool = False) -> np.ndarray:
            type(self).ahead += 1
            type(self).most = max(self.most, self.ahead)
            return super().read(region, mpp, half)

    class Slow(BlobModel):
        def predict(
            self, image: torch.Tensor, min_score: float | None = None, features: bool = False
        ) -> list[Any]:
            Counting.ahead -= len(image)
            return super().predict(image, min_score)

    counted = Counting(slide._source, slide.mpp)
    config = DetectConfig(device="cpu", tile_px=192, halo_px=32, batch=2, readers=2)
    result = Detector(Slow(), config).detect(counted)
    assert result.tiles_total > 12
    assert config.batch is not None
    assert config.readers is not None
    # The tissue mask is one more read, without a prediction.
    assert Counting.most <= 1 + 2 * config.batch + config.readers


class Forgetful(BlobModel):
    """Runs out of memory above a batch size."""

    def __init__(self, fits: int, error: type[Exception]) -> None:
        super().__init__()
        self.fits, self.error = fits, error
        self.refused = 0

    def predict(
        self, image: torch.Tensor, min_score: float | None = None, features: bool = False
    ) -> list[Any]:
        if len(image) > self.fits:
            self.refused += 1
            raise self.error("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return super().predict(image, min_score)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_out_of_memory_halves_the_batch_and_goes_on(slide: Slide, error: type[Exception]) -> None:
    config = DetectConfig(device="cpu", tile_px=192, halo_px=32, batch=7)
    model = Forgetful(2, error)
    equal_tiles = Region(0, 0, 640, 500)
    result = Detector(model, config).detect(slide, equal_tiles)
    whole = Detector(BlobModel(), config).detect(slide, equal_tiles)
    assert places(result.table) == places(whole.table)
    assert model.refused == 2  # 7 -> 3 -> 1
    assert model.largest_batch == 1
    assert [note.partition(" with ")[2] for note in result.notes] == [
        "7 tiles in one pass; went on with 3.",
        "3 tiles in one pass; went on with 1.",
    ]


def test_too_little_memory_for_one_tile_is_said_in_a_sentence(slide: Slide) -> None:
    with pytest.raises(UserError, match="not enough memory on cpu for a tile of"):
        Detector(Forgetful(0, MemoryError), SMALL_TILES).detect(slide)


def test_other_errors_of_the_network_are_not_taken_for_full_memory(slide: Slide) -> None:
    class Wrong(BlobModel):
        def predict(
            self, image: torch.Tensor, min_score: float | None = None, features: bool = False
        ) -> list[Any]:
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        Detector(Wrong(), SMALL_TILES).detect(slide)
