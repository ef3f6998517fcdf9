from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from muse_core.tables.numbers import PLAIN, AmbiguousNumbersError, NumberFormat, number_format


def parsed(*cells: str, decimal_comma: bool = False) -> list[float]:
    column = pd.Series(cells, dtype=str)
    form = number_format({"x": column}, decimal_comma)
    values, wrong = form.parse(column)
    assert not len(wrong)
    result: list[float] = values.tolist()
    return result


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("1", "-2.5", "+3.", ".5", "1e3", " 7 "), [1, -2.5, 3, 0.5, 1000, 7]),
        (("1,5", "12345,678"), [1.5, 12345.678]),
        (("0,987", "123,456"), [0.987, 123.456]),
        (("1,234.5", "12"), [1234.5, 12]),
        (("1.234,5", "12"), [1234.5, 12]),
        (("1.234.567", "0"), [1234567, 0]),
        (("1 234,5", "0,25"), [1234.5, 0.25]),
        (("1\u00a0234,5", "1\u202f000,5"), [1234.5, 1000.5]),
        (("1'234.5", "1\u2019000"), [1234.5, 1000]),
        (("\u22123.5",), [-3.5]),
        (("\u0661\u0662\u066b\u0665", "3.5"), [12.5, 3.5]),  # Arabic
        (("\u06f1\u066c\u06f2\u06f3\u06f4\u066b\u06f5",), [1234.5]),  # Persian
        (("\uff11\uff12.\uff15", "\u0967\u0968"), [12.5, 12]),  # wide, Devanagari
        # Our own, rounded to a thousandth: not a thousands separator.
        (("123.456", "1.234"), [123.456, 1.234]),
    ],
)
def test_numbers_of_all_countries(cells: Any, values: Any) -> None:
    assert parsed(*cells) == values


def test_a_comma_that_can_be_both_is_decided_by_the_separator_or_not_at_all() -> None:
    assert parsed("1,234", "999,000", decimal_comma=True) == [1.234, 999]
    with pytest.raises(AmbiguousNumbersError):
        parsed("1,234", "999,000")


@pytest.mark.parametrize("cell", ["two", "1.2.3", "1,5,2", "1_000", "0x10", "nan", "inf", "1.5 px"])
def test_what_is_no_number_is_found(cell: str) -> None:
    column = pd.Series(["1.5", cell, ""], dtype=str)
    values, wrong = number_format({"x": column}, False).parse(column)
    assert wrong.tolist() == [1]
    assert values[0] == 1.5
    assert np.isnan(values[1:]).all()


def test_two_ways_in_one_file_are_not_mixed() -> None:
    column = pd.Series(["1.5", "2.5", "3,5"], dtype=str)
    assert number_format({"x": column}, False) == PLAIN
    assert PLAIN.parse(column)[1].tolist() == [2]


def test_all_columns_decide_together() -> None:
    columns = {"x": pd.Series(["1,234"]), "score": pd.Series(["0,75"])}
    assert number_format(columns, False) == NumberFormat(",")


def test_whole_numbers_stay_exact() -> None:
    form = NumberFormat(".", ",")
    assert form.whole(pd.Series(["9,007,199,254,740,993", "-1"])).tolist() == [2**53 + 1, -1]
    assert form.whole(pd.Series(["1" + "0" * 30])).tolist() == [10**30]
    assert form.whole(pd.Series(["9" * 5000])).tolist() == [int("9" * 40)]
    assert form.whole(pd.Series(["1.5"])) is None
    assert form.whole(pd.Series([], dtype=str)).tolist() == []
