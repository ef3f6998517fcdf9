"""Names of columns as programs spell them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from muse_core.errors import UserError
from muse_core.nuclei import read_nuclei_here

from .h5ad_files import foreign, strings


@pytest.mark.parametrize("heading", ["Cell Type", "Cell.Type", "cell-type", "cellType"])
def test_classes_in_every_format(tmp_path: Path, heading: str) -> None:
    cells = pd.DataFrame({"x_px": [1, 2], "y_px": [3, 4], heading: ["a", "b"]})
    cells.to_csv(tmp_path / "n.csv", index=False)
    cells.to_parquet(tmp_path / "n.parquet")
    outlines = [shapely.Point(1, 3).buffer(2).wkb] * 2
    cells[[heading]].assign(geometry=outlines).to_parquet(tmp_path / "o.parquet")
    for name in ("n.csv", "n.parquet", "o.parquet"):
        assert read_nuclei_here(tmp_path / name).table["class_name"].tolist() == ["a", "b"]

    def column(obs: object) -> None:
        strings(obs, heading, list("abcde"))
        obs.attrs["column-order"] = [heading]  # type: ignore[attr-defined]

    foreign(tmp_path / "n.h5ad", column)
    found = read_nuclei_here(tmp_path / "n.h5ad").table
    assert found["class_name"].tolist() == list("abcde")


def test_a_table_of_qupath_that_went_through_r(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    head = '"","Image","Object.type","Classification","Centroid.X.%s","Centroid.Y.%s"\n'
    rows = '"1","a.svs","Detection","Tumor",1.5,2\n"2","a.svs","Annotation",NA,9,9\n'
    path.write_text(head % ("px", "px") + rows)
    found = read_nuclei_here(path)
    assert found.table[["x", "y", "class_name"]].to_numpy().tolist() == [[1.5, 2, "Tumor"]]
    assert found.notes == ("1 rows of other objects (annotation) were left out.",)
    path.write_text(head % ("µm", "µm") + rows, encoding="utf-8")
    with pytest.raises(UserError, match="Positions in microns are not read"):
        read_nuclei_here(path)


def test_a_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    names = ["x_px", "y_px", "class", "class"]
    pq.write_table(pa.table([[1.0], [2.0], ["a"], ["b"]], names=names), tmp_path / "n.parquet")
    with pytest.raises(UserError, match=r"n\.parquet: It has the column class twice"):
        read_nuclei_here(tmp_path / "n.parquet")


def test_corners_of_boxes_are_not_taken_for_centres(tmp_path: Path) -> None:
    boxes = pd.DataFrame({"x": [10], "y": [20], "width": [8], "height": [6], "class": ["a"]})
    said = "the columns width and height, so that x and y may be corners"
    for name in ("n.csv", "n.parquet"):
        write = boxes.to_csv if name == "n.csv" else boxes.to_parquet
        write(tmp_path / name, index=False)
        with pytest.raises(UserError, match=said):
            read_nuclei_here(tmp_path / name)
    # As ImageJ writes centres and boxes, and as the error says.
    boxes.assign(BX=[6], BY=[17]).to_csv(tmp_path / "n.csv", index=False)
    assert read_nuclei_here(tmp_path / "n.csv").table[["x", "y"]].to_numpy().tolist() == [[10, 20]]
    boxes.rename(columns={"x": "x_px", "y": "y_px"}).to_parquet(tmp_path / "n.parquet")
    found = read_nuclei_here(tmp_path / "n.parquet").table
    assert found[["x", "y"]].to_numpy().tolist() == [[10, 20]]
