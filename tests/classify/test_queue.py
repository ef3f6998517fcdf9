from __future__ import annotations

import numpy as np
import pytest

from muse_core.classify.queue import review_order

NAN = np.nan


@pytest.mark.parametrize(
    ("kind", "order"),
    [("entropy", [2, 0, 1, 4, 3]), ("disagreement", [2, 0, 1, 4, 3]), ("margin", [1, 0, 2, 4, 3])],
)
def test_the_most_doubtful_come_first_and_the_unknown_last(kind: str, order: list[int]) -> None:
    doubt = np.array([0.5, 0.25, 0.75, NAN, NAN], np.float32)
    assert (
        review_order(kind, doubt, np.array([0.9, 0.9, 0.9, 0.8, 0.7], np.float32)).tolist() == order
    )


def test_among_equals_the_least_likely_nucleus_comes_first() -> None:
    order = review_order(
        "entropy", np.array([0.5, 0.5, 0.5], np.float32), np.array([0.9, 0.3, 0.6], np.float32)
    )
    assert order.tolist() == [1, 2, 0]


def test_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="none of entropy"):
        review_order("luck", np.zeros(0, np.float32), np.zeros(0, np.float32))
