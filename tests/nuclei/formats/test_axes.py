"""Tables with positions along numbered axes, of scikit-image's regionprops and napari's points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import is_nucleus_csv, read_nuclei
from muse_core.nuclei.formats.axes import AXES_AS_PIXELS
from muse_core.nuclei.formats.columns import NO_CLASSES

Y, X = [10.0, 20.25, 30.0], [1.0, 2.0, 3.5]
PLACES = [[1.5, 10.5], [2.5, 20.75], [4.0, 30.5]]


def _saved(path: Path, table: pd.DataFrame) -> Path:
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


@pytest.fixture(params=["n.csv", "n.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


@pytest.mark.parametrize("names", ["centroid-{}", "centroid.{}", "axis-{}"])
def test_y_comes_before_x_and_counts_from_the_centre_of_the_first_pixel(
    path: Path, names: str
) -> None:
    table = pd.DataFrame({"label": [7, 8, 9], names.format(0): Y, names.format(1): X})
    found = read_nuclei(_saved(path, table))
    np.testing.assert_array_equal(found.table[["x", "y"]], PLACES)
    # The label is the number of a region.
    assert set(found.table["class_name"]) == {"unclassified"}
    assert found.notes == (AXES_AS_PIXELS, NO_CLASSES)


@pytest.mark.parametrize("heading", ["class", "label"])
def test_classes_and_scores_are_read(path: Path, heading: str) -> None:
    table = pd.DataFrame(
        {"axis-0": Y, "axis-1": X, heading: ["a", "b", "a"], "score": [0.25, 0.5, 1.0]}
    )
    found = read_nuclei(_saved(path, table))
    assert found.table["class_name"].tolist() == ["a", "b", "a"]
    assert found.table["score"].tolist() == [0.25, 0.5, 1.0]
    assert found.notes == (AXES_AS_PIXELS,)


def test_columns_named_x_and_y_count_more(path: Path) -> None:
    table = pd.DataFrame({"x": X, "y": Y, "class": "a", "centroid-0": X, "centroid-1": X})
    found = read_nuclei(_saved(path, table)).table
    np.testing.assert_array_equal(found[["x", "y"]], np.subtract(PLACES, 0.5))


def test_of_a_stack_it_cannot_be_told(path: Path) -> None:
    table = pd.DataFrame({"axis-0": 0.0, "axis-1": Y, "axis-2": X, "class": "a"})
    with pytest.raises(UserError, match=r"it has .*axis-0, axis-1, axis-2"):
        read_nuclei(_saved(path, table))


def test_what_is_dropped_is_left_to_the_reader_of_napari(tmp_path: Path) -> None:
    table = pd.DataFrame({"index": [0, 1, 2], "axis-0": Y, "axis-1": X})
    assert not is_nucleus_csv(_saved(tmp_path / "n.csv", table))
