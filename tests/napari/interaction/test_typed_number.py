"""Numbers as people type them, and what a field takes of them; no window is needed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from napari_muse.interaction.typed_number import NumberRule, read_number

SCORE = NumberRule("The score", 0.1, 0.9, decimals=2, unset="as the model says")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.25", 0.25), ("0,25", 0.25), (".5", 0.5), (",5", 0.5), ("1.", 1.0), (" 2 ", 2.0),
        ("+0,499", 0.499), ("2.5e-1", 0.25), ("\u0660\u066b\u0662\u0665", 0.25), ("\u22121", -1.0),
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
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(UserError, match="is no number"):
        read_number(text)


@given(st.decimals(-1000, 1000, places=6))
def test_point_and_comma_are_one(number: Any) -> None:
    text = str(number)
    assert read_number(text) == read_number(text.replace(".", ",")) == float(number)


def test_no_value_is_below_what_may_be_given_and_has_words_of_its_own() -> None:
    assert SCORE.lowest == 0
    for text in ("", "  ", "as the model says"):
        assert SCORE.value_of(text) == 0
    assert SCORE.value_of("as the model says0,5") == 0.5, "typed behind the words"
    assert NumberRule("Steps", 1, 10).lowest == 1


@pytest.mark.parametrize(
    ("rule", "text", "sentence"),
    [
        (SCORE, "0.05", "The score must lie between 0.1 and 0.9, not 0.05."),
        (SCORE, " 25 ", "The score must lie between 0.1 and 0.9, not 25."),
        (NumberRule("Steps", 1, 10, decimals=0), "2,5", "Steps is a whole number, not 2,5."),
        (NumberRule("Steps", 1, 10), "", "“” is no number"),
    ],
)
def test_what_is_not_taken_is_told_why(rule: NumberRule, text: str, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        rule.value_of(text)
    assert sentence in str(refused.value)


def test_values_are_kept_with_the_decimals_of_the_rule_and_shown_with_few_digits() -> None:
    assert SCORE.value_of("0.123456") == 0.12
    assert NumberRule("The share", 0, 100, decimals=1, unit=" %").value_of("12,34 %") == 12.3
    assert (SCORE.text_of(0.5), SCORE.text_of(0.1234567)) == ("0.5", "0.123457")
    assert NumberRule("Steps", 1, 10**7, decimals=0).text_of(1_234_567) == "1234567"
