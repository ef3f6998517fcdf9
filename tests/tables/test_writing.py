"""Rows that are written are those that pandas reads."""

from __future__ import annotations

import csv
import io
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.tables import write_csv_rows

_TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)
_NUMBERS = st.floats(-1e9, 1e9).map(lambda value: round(value, 4))


def written(rows: pd.DataFrame, separator: str = ",", header: bool = True) -> str:
    file = io.BytesIO()
    write_csv_rows(rows, file, separator, header)
    return file.getvalue().decode()


@pytest.mark.parametrize("separator", [",", "\t"])
@given(rows=st.lists(st.tuples(st.integers(0, 2**53), _NUMBERS, _TEXTS), max_size=5))
def test_rows_come_back(rows: list[tuple[int, float, str]], separator: str) -> None:
    table = pd.DataFrame(rows, columns=["id", "x", "class"])
    read = list(csv.reader(io.StringIO(written(table, separator), newline=""), delimiter=separator))
    assert read[0] == ["id", "x", "class"]
    assert [(int(a), float(b), c) for a, b, c in read[1:]] == rows


@pytest.mark.parametrize("odd", ['say "a"', "a,b", "a\nb", "a\rb"])
def test_a_text_that_needs_quotes_has_them_and_others_are_plain(odd: str) -> None:
    table = pd.DataFrame({"class": ["tumor", odd], "x": [1.5, 2.25]})
    text = written(table)
    assert list(csv.reader(io.StringIO(text, newline="")))[2] == [odd, "2.25"]
    assert written(table.iloc[:1]) == os.linesep.join(("class,x", "tumor,1.5", ""))


def test_parts_continue_one_another_without_a_second_header() -> None:
    table = pd.DataFrame({"id": np.arange(40_000), "class": "tumor"})
    whole = written(table)
    assert whole == written(table[:100]) + written(table[100:], header=False)
    assert whole.count("id,class") == 1
    assert len(whole.splitlines()) == 40_001
