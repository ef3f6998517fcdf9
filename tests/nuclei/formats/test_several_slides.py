"""Tables whose rows are nuclei of several slides or planes, which would be laid over each other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from muse_core.errors import UserError
from muse_core.nuclei import read_nuclei_here

from . import h5ad_files
from .geojson.geojson_files import SQUARE, feature, read

SLIDES = (
    "slide",
    "Slide ID",
    "slide_name",
    "image_id",
    "library_id",
    "FileName",
    "wsi_name",
    "file",
)
PLANES = ("z", "Z-slice", "Slice", "t", "Timepoint", "Frame", "z_um")


@pytest.mark.parametrize(
    ("parts", "one", "other", "column"),
    [("slides", "a.svs", "b.svs", column) for column in SLIDES]
    + [("planes", "0", "1", column) for column in PLANES],
)
def test_csv(tmp_path: Path, parts: str, one: str, other: str, column: str) -> None:
    path = tmp_path / "n.csv"
    path.write_text(f"{column},x_px,y_px,class\n{one},1,2,t\n,3,4,t\n{one},5,6,t\n")
    assert len(read_nuclei_here(path).table) == 3
    path.write_text(f"{column},x_px,y_px,class\n{one},1,2,t\n{other},3,4,t\n")
    said = re.escape(f"{parts} by the column '{column.lower()}' ({one}, {other}); keep")
    with pytest.raises(UserError, match=said):
        read_nuclei_here(path)


def test_a_slide_that_was_renamed_is_one_slide(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    rows = "old.svs,sha256:00,1,2,t\nnew.svs,sha256:00,3,4,t\n"
    path.write_text(f"slide,slide_content,x_px,y_px,class\n{rows}")
    assert len(read_nuclei_here(path).table) == 2


@pytest.mark.parametrize(
    ("parts", "one", "other", "name"),
    [("slides", "a.svs", "b.svs", name) for name in ("slide", "Slide_ID", "image", "fileName")]
    + [("planes", 0, 1, name) for name in ("z", "Frame")],
)
@pytest.mark.parametrize("shape", [("Point", [1, 2]), ("Polygon", [SQUARE])])
def test_geojson(
    tmp_path: Path, parts: str, one: object, other: object, name: str, shape: Any
) -> None:
    same = [feature(shape, {name: value}) for value in (one, None, math.nan, one)]
    drawn = feature(("Polygon", [SQUARE]), {"objectType": "annotation", name: other})
    assert len(read(tmp_path, [*same, drawn]).table) == 4
    said = re.escape(f"{parts} by the property '{name}' ({one}, {other}); keep")
    with pytest.raises(UserError, match=said):
        read(tmp_path, [*same, feature(shape, {name: other})])


@pytest.mark.parametrize("column", ["slide", "Slide_ID", "image", "file_name"])
@pytest.mark.parametrize("outlines", [False, True])
@pytest.mark.parametrize("kind", ["object", "category"])
def test_parquet(tmp_path: Path, column: str, outlines: bool, kind: str) -> None:
    def write(slides: list[str | None]) -> Path:
        frame = pd.DataFrame({"x_px": [1, 2], "y_px": [3, 4], "class": ["a", "b"]})
        if outlines:
            frame["geometry"] = [shapely.Point(1, 3).buffer(2).wkb] * 2
            frame = frame.drop(columns=["x_px", "y_px"])
        frame[column] = pd.Series(slides, dtype=kind)
        frame.to_parquet(tmp_path / "n.parquet")
        return tmp_path / "n.parquet"

    assert len(read_nuclei_here(write(["a.svs", None])).table) == 2
    with pytest.raises(UserError, match=rf"by the column '{column}' \(a\.svs, b\.svs\); keep"):
        read_nuclei_here(write(["a.svs", "b.svs"]))


def test_pictures_beside_nuclei_name_no_slide(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x_px": [1, 2], "y_px": [3, 4], "class": ["a", "b"]})
    frame["image"] = [b"one", b"two"]
    frame.to_parquet(tmp_path / "n.parquet")
    assert len(read_nuclei_here(tmp_path / "n.parquet").table) == 2


@pytest.mark.parametrize("outlines", [False, True])
@pytest.mark.parametrize("planes", [[0, 1], [0.5, 1.5], ["a", "b"]])
def test_planes_in_parquet(tmp_path: Path, outlines: bool, planes: list[object]) -> None:
    frame = pd.DataFrame({"x_px": [1, 2], "y_px": [3, 4], "class": ["a", "b"], "Z": planes})
    if outlines:
        frame["geometry"] = [shapely.Point(1, 3).buffer(2).wkb] * 2
        frame = frame.drop(columns=["x_px", "y_px"])
    frame.to_parquet(tmp_path / "n.parquet")
    shown = rf"{planes[0]}, {planes[1]}"
    with pytest.raises(UserError, match=rf"planes by the column 'Z' \({shown}\); keep those of"):
        read_nuclei_here(tmp_path / "n.parquet")
    frame.assign(Z=planes[0]).to_parquet(tmp_path / "n.parquet")
    assert len(read_nuclei_here(tmp_path / "n.parquet").table) == 2


def _native(heights: list[float]) -> pa.Array:
    return pa.StructArray.from_arrays(
        [pa.array([1.0, 2.0]), pa.array([3.0, 4.0]), pa.array(heights)], ["x", "y", "z"]
    )


def _listed(heights: list[float]) -> pa.Array:
    flat = pa.array([1.0, 3.0, heights[0], 2.0, 4.0, heights[1]])
    return pa.FixedSizeListArray.from_arrays(flat, 3)


def _wkb(heights: list[float]) -> pa.Array:
    return pa.array(shapely.to_wkb(shapely.points([1, 2], [3, 4], heights), output_dimension=3))


@pytest.mark.parametrize("kind", ["Point", "Polygon"])
def test_planes_of_geojson(tmp_path: Path, kind: str) -> None:
    def write(heights: list[float | None]) -> Path:
        features = []
        for i, z in enumerate(heights):
            corners = [[x + i, y, z] for x, y in ((1, 1), (3, 1), (3, 3), (1, 1))]
            geometry = {"type": kind, "coordinates": corners[0] if kind == "Point" else [corners]}
            features.append({"type": "Feature", "geometry": geometry, "properties": {}})
        (tmp_path / "o.geojson").write_text(json.dumps(features))
        return tmp_path / "o.geojson"

    assert len(read_nuclei_here(write([2, 2.0, None])).table) == 3
    with pytest.raises(UserError, match=r"planes by the z of its geometries \(0\.0, 2\.0\)"):
        read_nuclei_here(write([2, 0]))


@pytest.mark.parametrize("encode", [_native, _listed, _wkb])
def test_planes_of_geometries(tmp_path: Path, encode: Callable[[list[float]], pa.Array]) -> None:
    encoding = "WKB" if encode is _wkb else "point"
    geo = {"primary_column": "geometry", "columns": {"geometry": {"encoding": encoding}}}

    def write(heights: list[float]) -> Path:
        table = pa.table({"geometry": encode(heights), "class": ["a", "b"]})
        pq.write_table(
            table.replace_schema_metadata({"geo": json.dumps(geo)}), tmp_path / "o.parquet"
        )
        return tmp_path / "o.parquet"

    table = read_nuclei_here(write([7, 7])).table
    assert table[["x", "y"]].to_numpy().tolist() == [[1, 3], [2, 4]]
    with pytest.raises(UserError, match=r"planes by the z of its geometries \(0\.0, 7\.0\)"):
        read_nuclei_here(write([0, 7]))


def _positions(kind: str, heights: list[float]) -> Callable[[Any], object]:
    xyz = np.column_stack([np.arange(10.0).reshape(5, 2), heights])

    def write(obsm: Any) -> None:
        if kind == "array":
            h5ad_files.array(obsm, "spatial", xyz)
            return
        frame = h5ad_files.mark(obsm.create_group("spatial"), "dataframe", "0.2.0")
        frame.attrs.update({"_index": "_index", "column-order": ["x", "y", "z"]})
        h5ad_files.strings(frame, "_index", list("vwxyz"))
        for axis, name in enumerate("xyz"):
            h5ad_files.array(frame, name, xyz[:, axis])

    return write


def _types(obs: Any) -> None:
    h5ad_files.strings(obs, "cell_type", list("aabba"))


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_planes_in_anndata(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "n.h5ad"
    h5ad_files.foreign(path, _types, _positions(kind, [5] * 5))
    assert read_nuclei_here(path).table["y"].tolist() == [1, 3, 5, 7, 9]
    h5ad_files.foreign(path, _types, _positions(kind, [0, 5, 5, 0, 0]))
    with pytest.raises(UserError, match=r'planes by the z of obsm\["spatial"\] \(0\.0, 5\.0\)'):
        read_nuclei_here(path)


def test_slides_in_anndata(tmp_path: Path) -> None:
    def column(obs: Any) -> None:
        obs.attrs["column-order"] = ["Sample", "cell_type"]
        _types(obs)
        h5ad_files.strings(obs, "Sample", list("ppqqp"))

    h5ad_files.foreign(tmp_path / "n.h5ad", column)
    with pytest.raises(UserError, match=r"slides by the column 'Sample' \(p, q\); keep those of"):
        read_nuclei_here(tmp_path / "n.h5ad")
