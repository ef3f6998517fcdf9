"""Numbers as people type them, and what a field accepts; no window is needed."""

from __future__ import annotations

import pytest

from muse_core.errors import UserError
from napari_muse.interaction.typed_number import NumberRule

SCORE = NumberRule("The score", 0.1, 0.9, decimals=2, unset="as the model says")


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
        (NumberRule("Steps", 1, 10, decimals=0), "2,5", "“2,5” is no whole number."),
        (NumberRule("Steps", 1, 5000, decimals=0), "1,000", "in two ways; type a whole number"),
        (NumberRule("Steps", 1, 5000, decimals=0), "1.000", "without marks, like 1000."),
        (
            NumberRule("The width", 1, 5000),
            "1,234",
            "“1,234” can be read in two ways; type 1234 or",
        ),
        (NumberRule("The width", 1, 5000, unit=" px"), "1,234 px", "type 1234 or 1.234."),
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


def test_three_decimals_are_decimals_where_a_thousand_times_as_much_cannot_be() -> None:
    scale = NumberRule("The size of a pixel", 0.01, 20.0, unset="unknown")
    assert scale.value_of("1,234") == scale.value_of("1.234") == 1.234
    assert scale.value_of("0,499") == 0.499
    assert NumberRule("The width", 1, 5000).value_of("1.234") == 1.234, "a point, as it is shown"
