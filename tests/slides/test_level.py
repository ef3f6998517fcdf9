from __future__ import annotations

import math
from typing import Any

import pytest

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.slides.level import MAX_LEVEL_PX, MAX_LEVEL_SIDE_PX, Level

MAX_CHUNK_PX, MAX_CHUNKS = 1 << 26, 1 << 16


class ClaimedLevel(Level):
    """A level with the size that a header claims, without pixels."""

    def _decode(self, row: int, col: int) -> RgbArray:
        raise NotImplementedError


def chunk_shape(height: int, width: int, piece_h: int, piece_w: int) -> tuple[int, int]:
    chunks: Any = ClaimedLevel("a", (height, width), (piece_h, piece_w)).to_dask().chunksize
    return chunks[0], chunks[1]


def test_claims_beyond_any_slide_are_refused() -> None:
    side = math.isqrt(MAX_LEVEL_PX)
    ClaimedLevel("a", (side, side), (512, 512))
    for height, width in ((side + 1, side + 1), (MAX_LEVEL_SIDE_PX, MAX_LEVEL_SIDE_PX)):
        with pytest.raises(UserError, match="a claims an impossible size"):
            ClaimedLevel("a", (height, width), (512, 512))


def test_common_tiles_are_joined_to_about_a_megapixel() -> None:
    assert chunk_shape(50_000, 80_000, 240, 240) == (1200, 1200)
    assert chunk_shape(50_000, 80_000, 4096, 2048) == (4096, 2048)
    assert chunk_shape(700, 600, 1, 600) == (700, 600)


@pytest.mark.parametrize(
    ("height", "width", "piece_h", "piece_w"),
    [
        (40_000, MAX_LEVEL_SIDE_PX, 1, MAX_LEVEL_SIDE_PX),
        (MAX_LEVEL_SIDE_PX, 40_000, MAX_LEVEL_SIDE_PX, 1),
        (447_000, 447_000, 512, 512),
        (447_000, 447_000, 1, 1),
        (MAX_LEVEL_SIDE_PX, 50_000, 1025, 1025),
        (MAX_LEVEL_SIDE_PX, 50_000, 16, 50_000),
    ],
)
def test_chunks_are_neither_too_large_nor_too_many(
    height: int, width: int, piece_h: int, piece_w: int
) -> None:
    chunk_h, chunk_w = chunk_shape(height, width, piece_h, piece_w)
    assert chunk_h * chunk_w <= MAX_CHUNK_PX
    assert math.ceil(height / chunk_h) * math.ceil(width / chunk_w) <= MAX_CHUNKS
    assert chunk_h % piece_h == chunk_w % piece_w == 0


def test_a_chunk_is_never_less_than_a_piece() -> None:
    assert chunk_shape(20_000, 20_000, 10_000, 10_000) == (10_000, 10_000)
