"""Numbers as people type them, in the window and on the command line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.typed_number import read_number, read_whole


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.25", 0.25), ("0,25", 0.25), (".5", 0.5), (",5", 0.5), ("1.", 1.0), (" 2 ", 2.0),
        ("+0,499", 0.499), ("2.5e-1", 0.25), ("\u0660\u066b\u0662\u0665", 0.25), ("\u22121", -1.0),
        ("\uff10\uff0e\uff12\uff15", 0.25), ("\uff10\uff0c\uff15", 0.5),
        ("\uff0d1", -1.0), ("1,234", 1.234),
    ],
)  # fmt: skip
def test_what_is_a_number(text: str, value: float) -> None:
    assert read_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ",",
        "-",
        "1.000,5",
        "1,000.5",
        "1.2.3",
        "0.25 x",
        "nan",
        "inf",
        "1_0",
        "1 000",
        "1'0",
        "0x10",
        "1/4",
        "5²",
        "½",
        "1" * 200,
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(UserError, match="is no number"):
        read_number(text)


@given(st.decimals(-1000, 1000, places=6))
def test_point_and_comma_are_one(number: Any) -> None:
    text = str(number)
    assert read_number(text) == read_number(text.replace(".", ",")) == float(number)


@pytest.mark.parametrize("text", ["1e999", "-1e999"])
def test_no_number_is_without_end(text: str) -> None:
    with pytest.raises(UserError, match="too large"):
        read_number(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1000", 1000), ("+7", 7), ("2.0", 2), ("2,0", 2), ("1e3", 1000), ("\u0661\u0662", 12),
     ("0.000", 0), ("9007199254740993", 9007199254740993), ("12 px", 12)],
)  # fmt: skip
def test_what_is_whole(text: str, value: int) -> None:
    assert read_whole(text, " px") == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2,5", "“2,5” is no whole number."),
        ("1,000", "like 1000."),
        ("-12.000", "like -12000."),
        ("1_0", "is no number"),
        ("", "is no number"),
        ("nan", "is no number"),
    ],
)
def test_what_is_not_whole_or_may_be_two_numbers(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        read_whole(text)
    assert sentence in str(refused.value)
