from __future__ import annotations

from collections import OrderedDict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muse_core.slides.level import PieceCache

LIMIT = 30


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(1, 40))))
def test_the_last_used_stay_within_the_limit(steps: list[tuple[bool, int, int]]) -> None:
    """Comparison with a dictionary in the order of use."""
    cache, expected = PieceCache(LIMIT), OrderedDict[int, int]()
    for is_put, row, size in steps:
        key = (0, row, 0)
        if is_put:
            cache.put(key, np.zeros((1, size, 1), np.uint8))
            if size <= LIMIT:
                expected[row] = size
                expected.move_to_end(row)
                while sum(expected.values()) > LIMIT:
                    expected.popitem(last=False)
        else:
            found = cache.get(key)
            assert (None if found is None else found.nbytes) == expected.get(row)
            if row in expected:
                expected.move_to_end(row)
    cache.clear()
    assert all(cache.get((0, row, 0)) is None for row in range(7))
