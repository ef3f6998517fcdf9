from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.detect import network_sizes
from muse_core.detect.network_sizes import ImageSize, shared_sizes

_NEW_PX = network_sizes._NEW_SIZE_PX
sides = st.integers(6, 60).map(lambda cells: 32 * cells)
plans = st.lists(st.tuples(sides, sides), min_size=1, max_size=12)


def _cost_px(sizes: Sequence[ImageSize]) -> int:
    return sum(map(math.prod, sizes)) + _NEW_PX * len(set(sizes))


@given(plans)
def test_tiles_fit_the_first_is_as_it_is_and_all_cost_less(sizes: list[ImageSize]) -> None:
    use = shared_sizes(sizes)
    assert use[sizes[0]] == sizes[0]
    seen = [use[size] for size in sizes]
    assert all(new[0] >= old[0] and new[1] >= old[1] for old, new in zip(sizes, seen, strict=True))
    assert set(seen) <= set(sizes)
    assert _cost_px(seen) <= _cost_px(sizes)


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=5, unique=True))
def test_it_comes_near_to_the_best_of_all_choices(sizes: list[ImageSize]) -> None:
    allowed = [
        [new for new in sizes if new[0] >= old[0] and new[1] >= old[1]] if i else [old]
        for i, old in enumerate(sizes)
    ]
    least = min(map(_cost_px, itertools.product(*allowed)))
    # One at a time is not always best: within the price of one size.
    assert _cost_px([shared_sizes(sizes)[size] for size in sizes]) <= least + _NEW_PX


def test_a_size_of_many_tiles_is_kept_and_that_of_one_is_not() -> None:
    large, small = (640, 640), (320, 640)
    lone = shared_sizes([large, large, small])
    often = shared_sizes([large, large, *[small] * 9])
    assert (lone[small], often[small]) == (large, small)


def test_there_are_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_sizes, "_NEW_SIZE_PX", 0)
    sizes = [(32 * h, 32 * w) for h in range(10, 20) for w in range(10, 20)]
    use = shared_sizes([(32, 32), *sizes, *sizes])
    assert len(set(use.values())) == network_sizes._MOST_SIZES


def test_no_tile_is_no_size() -> None:
    assert shared_sizes([]) == {}
