from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.slides.stated import stated_length_um, stated_number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.499", 0.499),
        ("0,499", 0.499),
        ("1,2475", 1.2475),
        ("1,247", 1.247),
        (" +0,5 ", 0.5),
        ("-0.5", -0.5),
        ("\N{MINUS SIGN}0.5", -0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("4,99E-1", 0.499),
        ("4.99e+02", 499.0),
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("1 234,5", 1234.5),
        ("1\N{NO-BREAK SPACE}234,5", 1234.5),
        ("1\N{NARROW NO-BREAK SPACE}234,5", 1234.5),
        ("1'234.5", 1234.5),
        ("26.564.529", 26564529.0),
        ("26,564,529", 26564529.0),
        ('"0.000226"', 0.000226),
        ("0.5\0", 0.5),
        ("\u0660\u066b\u0664\u0669\u0669", 0.499),  # Arabic
        ("\u06f1\u066c\u06f2\u06f3\u06f4\u066b\u06f5", 1234.5),  # Persian
        ("\uff10\uff0e\uff15", 0.5),  # wide
        (0.5, 0.5),
        (2, 2.0),
    ],
)
def test_a_number(text: str, expected: float) -> None:
    assert stated_number(text) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ".",
            ",",
            "-",
            "-.-",
            "e5",
            "0.499x",
            "x0.499",
            "0.49.9",
            "0,4,99",
            "1,23,456.7",
        ),
        *("1.2,3.4", "0x10", "1_000", "1 2", "0.5 0.5", "12,34.5", "1''234", "--1", "1e", "1e5.5"),
        *("\N{ROMAN NUMERAL TWO}", "0.5um", None, True, [0.5], "1" * 200),
    ],
)
def test_no_number(text: str) -> None:
    assert stated_number(text) is None


def test_what_is_no_amount_is_left_to_the_caller() -> None:
    assert math.isnan(stated_number("NaN") or 0)
    assert stated_number("-inf") == -math.inf
    assert stated_number("1e999") == math.inf


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(".,"))
def test_every_float_comes_back(value: float, mark: str) -> None:
    assert stated_number(repr(value).replace(".", mark)) == value


@given(st.integers(0, 10**12), st.sampled_from([(",", "."), (".", ","), (" ", ","), ("'", ".")]))
def test_thousands_come_back(value: float, marks: Any) -> None:
    group, decimal = marks
    assert stated_number(f"{value:,}".replace(",", group) + f"{decimal}25") == value + 0.25


@given(st.text(max_size=20))
def test_no_text_breaks_it(text: str) -> None:
    stated_number(text)
    stated_length_um(text)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("0,499", "um", 0.499),
        ("499 nm", "um", 0.499),
        ("0.499 \N{MICRO SIGN}m/pixel", "um", 0.499),
        ("0.499 microns per pixel", "um", 0.499),
        ("0.000499", "mm", 0.499),
        ("0.499um", "mm", 0.499),
        ("\u06f0\u066b\u06f2\u06f5 \N{MICRO SIGN}m", "mm", 0.25),
        ("1", "pixel", None),
        ("0.499 px", "um", None),
        ("0.499 0.499 um", "um", None),
        ("um", "um", None),
        (0.499, "um", 0.499),
        (None, "um", None),
    ],
)
def test_a_length(text: float | str | None, unit: str, expected: float | None) -> None:
    found = stated_length_um(text, unit)
    assert found == (None if expected is None else pytest.approx(expected))
