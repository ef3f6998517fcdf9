from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import NUCLEUS_COLUMNS, empty_table, nucleus_table, validate_table


def test_types_and_defaults() -> None:
    table = nucleus_table([1, 2.5], [3, 4], ["tumor", "stromal"])
    assert tuple(table.columns) == NUCLEUS_COLUMNS
    assert table["id"].tolist() == [0, 1]
    assert [str(table[c].dtype) for c in ("id", "x", "y", "score")] == [
        "int64",
        "float64",
        "float64",
        "float32",
    ]
    assert table["status"].tolist() == ["predicted", "predicted"]
    assert table["model"].tolist() == ["", ""]
    assert (table["score"] == 1).all()


def test_empty() -> None:
    table = empty_table()
    assert len(table) == 0
    assert tuple(table.columns) == NUCLEUS_COLUMNS
    assert validate_table(table).dtypes.equals(table.dtypes)


def test_values_stay_in_their_rows_whatever_index_they_come_with() -> None:
    source = pd.DataFrame({"x": [1.0, 2.0], "c": ["a", "b"]}, index=[1, 0])
    table = nucleus_table(source["x"], source["x"], source["c"])
    assert table["x"].tolist() == [1.0, 2.0]
    assert table["class_name"].tolist() == ["a", "b"]


def test_extra_columns_and_index_are_dropped_and_the_input_left_alone() -> None:
    table = nucleus_table([1, 2], [3, 4], "tumor").iloc[::-1]
    table["note"] = "x"
    before = table.copy()
    checked = validate_table(table)
    assert tuple(checked.columns) == NUCLEUS_COLUMNS
    assert checked.index.tolist() == [0, 1]
    assert checked["x"].tolist() == [2, 1]
    pd.testing.assert_frame_equal(table, before)


def test_categorical_classes_are_texts() -> None:
    table = nucleus_table([1, 2], [3, 4], ["a", "b"])
    table["class_name"] = table["class_name"].astype("category")
    assert validate_table(table)["class_name"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"x": [1.0, np.nan]}, "coordinate"),
        ({"y": [1.0, np.inf]}, "coordinate"),
        ({"x": [1.0, 2.0, 3.0]}, "do not make a nucleus table"),
        ({"x": ["a", "b"]}, "do not make a nucleus table"),
        ({"score": [0.5, 1.5]}, "between 0 and 1"),
        ({"score": [0.5, np.nan]}, "score"),
        ({"score": [0.1, 0.2, 0.3]}, "do not make a nucleus table"),
        ({"x": [1.0, 1e10]}, "farther out"),
        ({"y": [1.0, -1e300]}, "farther out"),
        ({"class_name": ["tumor", ""]}, "without a class"),
        ({"class_name": ["tumor", "  "]}, "without a class"),
        ({"class_name": ["tumor", None]}, "class_name that is not a text"),
        ({"class_name": [1, 2]}, "class_name that is not a text"),
        ({"status": "seen"}, "'seen'"),
        ({"ids": [7, 7]}, "id 7 twice"),
        ({"ids": [0.0, 1.5]}, "whole number"),
        ({"ids": [0.0, np.nan]}, "whole number"),
        ({"ids": ["a", "b"]}, "wrong type"),
        ({"ids": [0, 10**20]}, "wrong type"),
        ({"x": [0, 10**400]}, "do not make a nucleus table"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_bad_values_are_refused(values: Any, message: str) -> None:
    good = {"x": [1.0, 2.0], "y": [1.0, 2.0], "class_name": "tumor"}
    with pytest.raises(UserError, match=message):
        nucleus_table(**(good | values))


@pytest.mark.parametrize("column", NUCLEUS_COLUMNS)
def test_each_column_is_needed(column: Any) -> None:
    with pytest.raises(UserError, match=column):
        validate_table(nucleus_table([1], [2], "tumor").drop(columns=column))
