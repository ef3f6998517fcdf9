"""Tables of label images, in which a column named like classes numbers the nuclei."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from muse_core.errors import UserError
from muse_core.nuclei import nucleus_table, read_nuclei, read_nuclei_here, write_nuclei

from .geojson.geojson_files import feature


def _csv(folder: Path, labels: list[int]) -> Path:
    rows = "".join(f"{label},{i},{i}\n" for i, label in enumerate(labels))
    (folder / "n.csv").write_text(f"label,y,x\n{rows}")
    return folder / "n.csv"


def _points(folder: Path, labels: list[int]) -> Path:
    x = np.arange(len(labels))
    pd.DataFrame({"x": x, "y": x, "label": labels}).to_parquet(folder / "n.parquet")
    return folder / "n.parquet"


def _outlines(folder: Path, labels: list[int]) -> Path:
    outlines = [shapely.Point(i, i).buffer(2).wkb for i in range(len(labels))]
    pd.DataFrame({"geometry": outlines, "label": labels}).to_parquet(folder / "n.parquet")
    return folder / "n.parquet"


def _geojson(folder: Path, labels: list[int]) -> Path:
    features = [feature(("Point", [i, i]), {"label": label}) for i, label in enumerate(labels)]
    (folder / "n.geojson").write_text(json.dumps(features))
    return folder / "n.geojson"


@pytest.mark.parametrize("write", [_csv, _points, _outlines, _geojson])
def test_a_number_for_each_nucleus_is_no_class(
    tmp_path: Path, write: Callable[[Path, list[int]], Path]
) -> None:
    with pytest.raises(UserError, match="has another number for each of 21 nuclei; if it numbers"):
        read_nuclei_here(write(tmp_path, list(range(1, 22))))
    for few_or_repeated in ([*range(1, 21)], [*range(1, 21), 7]):
        found = read_nuclei_here(write(tmp_path, few_or_repeated))
        assert found.table["class_name"].tolist() == [str(label) for label in few_or_repeated]


def test_numbers_of_classes_are_whole_as_in_other_formats(tmp_path: Path) -> None:
    """pandas writes 1.0 for a class 1 where another nucleus has none."""
    path = tmp_path / "n.csv"
    path.write_text("x_px,y_px,class\n1,2,1.0\n3,4,\n5,6,2.0\n7,8,1\n")
    found = read_nuclei(path).table["class_name"].tolist()
    assert found == ["1", "unclassified", "2", "1"]
    path.write_text("x_px,y_px,class\n1,2,1.0\n3,4,grade 2.0\n")
    assert read_nuclei(path).table["class_name"].tolist() == ["1.0", "grade 2.0"]
    write_nuclei(path, nucleus_table([1, 2], [3, 4], ["1.0", "2.0"]), mpp=0.5)
    assert read_nuclei(path).table["class_name"].tolist() == ["1.0", "2.0"]
