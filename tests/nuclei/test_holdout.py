from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from muse_core.nuclei.holdout import (
    HOLDOUT_SHARE,
    field_key,
    holdout_in_set,
    is_holdout,
    share_of,
)

KEYS = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=12)


def _one_by_one(keys: list[str]) -> list[bool]:
    held: list[bool] = []
    for key in keys:
        held.append(is_holdout(key, held))
    return held


@given(KEYS)
def test_both_sides_get_a_field_as_soon_as_there_are_two(keys: list[str]) -> None:
    for held in (_one_by_one(keys), holdout_in_set(keys)):
        assert len(held) == len(keys)
        if len(keys) >= 2:
            assert any(held)
            assert not all(held)
        else:
            assert not any(held)


@given(st.text())
def test_a_side_that_has_none_any_more_gets_the_next(key: str) -> None:
    assert not is_holdout(key, [True, True])
    assert is_holdout(key, [False, False])


@given(KEYS)
def test_a_set_is_parted_alike_in_any_order(keys: list[str]) -> None:
    forth = dict(zip(keys, holdout_in_set(keys), strict=True))
    back = dict(zip(keys[::-1], holdout_in_set(keys[::-1]), strict=True))
    assert forth == back


def test_about_the_wanted_share_is_the_holdout() -> None:
    held = _one_by_one([str(i) for i in range(4000)])
    assert abs(sum(held) / 4000 - HOLDOUT_SHARE) < 0.03


def test_the_key_is_of_slide_and_outline() -> None:
    square = [(0, 0), (10, 0), (10, 10), (0, 10)]
    assert field_key("a", square) == field_key("a", [(x + 0.001, y) for x, y in square])
    assert field_key("a", square) != field_key("b", square)
    assert field_key("a", square) != field_key("a", square[:3])
    # Fixed values, so that a change of the rule, which would mix up users' fields, is noticed.
    assert round(share_of("0"), 6) == 0.374709
