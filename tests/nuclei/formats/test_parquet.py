from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NucleusFile, nucleus_table
from muse_core.nuclei.formats import geoparquet
from muse_core.nuclei.formats.parquet import read_parquet, write_parquet
from muse_core.nuclei.formats.polygons import centres

OUTLINES = [
    shapely.Polygon([(0, 0), (4, 0), (4, 2), (0, 2)]),
    shapely.Polygon([(10, 10), (16, 10), (10, 16)]),
    shapely.MultiPolygon([shapely.box(0, 0, 2, 2), shapely.box(4, 0, 6, 2)]),
    shapely.Point(7, 8),
    shapely.Polygon(),
    None,
]


def write_outlines(
    path: Path, encoding: str = "WKB", with_geo: bool = True, **columns: Any
) -> None:
    """A GeoParquet file as geopandas writes it."""
    table = pa.table({"geometry": pa.array(shapely.to_wkb(np.array(OUTLINES, object))), **columns})
    geo = {
        "version": "1.0.0",
        "primary_column": "geometry",
        "columns": {"geometry": {"encoding": encoding, "geometry_types": []}},
    }
    meta = {"geo": json.dumps(geo)} if with_geo else None
    pq.write_table(table.replace_schema_metadata(meta), path)


_POOLS: list[pa.MemoryPool] = []
"""Kept permanently: memory allocated by a pool cannot be freed without it."""


@contextmanager
def counted_memory() -> Iterator[pa.MemoryPool]:
    usual = pa.default_memory_pool()
    _POOLS.append(pa.proxy_memory_pool(usual))
    pa.set_memory_pool(_POOLS[-1])
    try:
        yield _POOLS[-1]
    finally:
        pa.set_memory_pool(usual)


def test_pandas_and_arrow_read_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    scheme = ClassScheme.from_names(["tumor"])
    table = nucleus_table([1.5], [2], "tumor", 0.25, model="m", ids=[9])
    write_parquet(NucleusFile(table, scheme, 0.5), path)
    assert pd.read_parquet(path).to_dict("records") == [
        {
            "id": 9,
            "x_px": 1.5,
            "y_px": 2.0,
            "class": "tumor",
            "score": 0.25,
            "status": "predicted",
            "model": "m",
        }
    ]
    facts = json.loads(pq.read_schema(path).metadata[b"muse"])
    assert facts["mpp"] == 0.5
    assert facts["classes"][0]["name"] == "tumor"


def test_three_columns_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    pd.DataFrame({"x_px": [1, 2], "y_px": [3, 4], "class": ["a", "b"], "z": [0, 0]}).to_parquet(
        path
    )
    found = read_parquet(path)
    assert found.table[["x", "y", "class_name"]].to_numpy().tolist() == [[1, 3, "a"], [2, 4, "b"]]
    assert found.table["id"].tolist() == [0, 1]


@pytest.mark.parametrize("with_geo", [True, False])
def test_outlines_become_centres(tmp_path: Path, with_geo: bool) -> None:
    names = ["a", "b", "a", "", None, "a"]
    columns = {"Class_Name": pa.array(names), "prob": pa.array([0.5, 7.0, np.nan, 0.25, 0, 0])}
    write_outlines(tmp_path / "o.parquet", with_geo=with_geo, **columns)
    found = read_parquet(tmp_path / "o.parquet")
    assert found.table[["x", "y", "class_name", "score"]].to_numpy().tolist() == [
        [2, 1, "a", 0.5],
        [12, 12, "b", 1],
        [3, 1, "a", 1],
        [7, 8, "unclassified", 0.25],
    ]
    assert (found.table["status"] == "predicted").all()
    assert (found.scheme, found.mpp) == (None, None)
    notes = " ".join(found.notes)
    assert "pixels" in notes
    assert "2 objects without a place" in notes
    assert "1 nucleus without a class" in notes


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"type": pa.array([1, 2, 3, 4, 5, 6])}, ["1", "2", "3", "4"]),
        ({"label": pa.array(list("abcdef")).dictionary_encode()}, list("abcd")),
        ({"area": pa.array(np.arange(6.0))}, ["unclassified"] * 4),
        ({"class": pa.array(np.arange(6.0)), "type": pa.array(list("abcdef"))}, list("abcd")),
    ],
)
def test_the_column_of_classes_is_found(tmp_path: Path, column: Any, expected: Any) -> None:
    write_outlines(tmp_path / "o.parquet", **column)
    assert read_parquet(tmp_path / "o.parquet").table["class_name"].tolist() == expected


def test_a_column_that_numbers_the_nuclei_is_refused(tmp_path: Path) -> None:
    place = shapely.to_wkb(shapely.Point(1, 2))
    table = pa.table({"geometry": pa.array([place] * 257), "Label": pa.array(range(257))})
    pq.write_table(table, tmp_path / "o.parquet")
    with pytest.raises(UserError, match="The column 'Label' names more than 256 classes"):
        read_parquet(tmp_path / "o.parquet")


def test_other_encodings_and_damaged_geometries_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "o.parquet"
    write_outlines(path, encoding="polygon")
    with pytest.raises(UserError, match=r"o\.parquet: .*WKB"):
        read_parquet(path)
    pq.write_table(pa.table({"geometry": pa.array([b"\x01\x03\x00\x00"])}), path)
    with pytest.raises(UserError, match=r"o\.parquet: .*damaged"):
        read_parquet(path)
    for geo in ("[", "{}", '{"primary_column": "x", "columns": {"x": {"encoding": "WKB"}}}'):
        table = pa.table({"geometry": pa.array([b""])}).replace_schema_metadata({"geo": geo})
        pq.write_table(table, path)
        with pytest.raises(UserError, match=r"o\.parquet: .*metadata"):
            read_parquet(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1], "b": [2], "class": ["a"]}, "x_px, y_px and class"),
        ({"x_px": [None], "y_px": [1.0], "class": ["a"]}, "empty cell"),
        ({"x_px": ["left"], "y_px": [1.0], "class": ["a"]}, "left"),
        ({"x_px": [np.inf], "y_px": [1.0], "class": ["a"]}, "coordinate"),
        ({"x_px": [1.0], "y_px": [1.0], "class": [3.5]}, "column class holds no names but double"),
        ({"x_px": [1.0], "y_px": [1.0], "class": [["a"]]}, "column class holds no names but list"),
        ({"x_px": [1.0], "y_px": [1.0], "class": [b"\xff"]}, "column class .* no text"),
        ({"x_px": [True], "y_px": [1.0], "class": ["a"]}, "column x_px holds no numbers .* bool"),
        ({"x_px": ["1.5"], "y_px": [1.0], "class": ["a"]}, "column x_px holds no numbers"),
        ({"X_PX": [1.0], "x_Px": [1.0], "y_px": [1.0], "class": ["a"]}, "column x_px twice"),
        ({"id": [1, None], "x_px": [1, 2], "y_px": [1, 2], "class": list("ab")}, "column id"),
        ({"x_px": [1.0], "y_px": [1.0], "class": ["a"], "status": ["seen"]}, "seen"),
        ({"x_px": [1.0], "y_px": [1.0], "class": ["a"], "score": [3.0]}, "between 0 and 1"),
        ({"x_px": [[1.0]], "y_px": [1.0], "class": ["a"]}, "table"),
    ],
)
def test_bad_values_are_refused_by_name(tmp_path: Path, columns: Any, message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
    with pytest.raises(UserError, match=message) as caught:
        read_parquet(tmp_path / "bad.parquet")
    assert "bad.parquet" in str(caught.value)


def test_positions_without_a_unit_are_pixels_and_a_note_says_so(tmp_path: Path) -> None:
    path = tmp_path / "points.parquet"
    pq.write_table(pa.table({"X": [1.5], "y": [2.0], "class": ["a"]}), path)
    file = read_parquet(path)
    assert file.table[["x", "y"]].to_numpy().tolist() == [[1.5, 2.0]]
    assert file.notes == ("Positions were taken as pixels of the full resolution.",)


def test_outlines_count_more_than_positions_without_a_unit(tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    n = len(OUTLINES)
    write_outlines(path)
    outlined = read_parquet(path).table
    write_outlines(path, x=pa.array(np.full(n, 0.5)), y=pa.array(np.full(n, 0.5)))
    both = read_parquet(path).table
    np.testing.assert_array_equal(both[["x", "y"]], outlined[["x", "y"]])


def test_a_small_file_of_too_many_rows_is_refused_unread(tmp_path: Path) -> None:
    # Rows of one value take no space in the file, and gigabytes in memory.
    path = tmp_path / "bomb.parquet"
    schema = pa.schema([("x_px", pa.float64()), ("y_px", pa.float64()), ("class", pa.string())])
    with pq.ParquetWriter(path, pa.schema([schema.field("x_px")])) as writer:
        part = pa.table({"x_px": np.zeros(1 << 20)})
        for _ in range(20):
            writer.write_table(part)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UserError, match="more than 20,000,000"):
        read_parquet(path)


@pytest.mark.parametrize("others", [["x_px", "y_px"], ["geometry"]])
def test_long_names_of_many_rows_are_refused_before_they_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: list[str]
) -> None:
    # 20 megabytes as plain values, which take no space in the file.
    monkeypatch.setattr("muse_core.nuclei.nucleus_file.MAX_CHARACTERS", 1 << 20)
    n = 2000
    values = {
        "x_px": np.ones(n),
        "y_px": np.ones(n),
        "geometry": [shapely.to_wkb(shapely.Point(1, 2))] * n,
    }
    table = {"class": pa.array(["a" * 10_000] * n), **{name: values[name] for name in others}}
    pq.write_table(pa.table(table), tmp_path / "n.parquet")
    with counted_memory() as counted, pytest.raises(UserError, match=r"n\.parquet: .*so long"):
        read_parquet(tmp_path / "n.parquet")
    assert counted.max_memory() < 10 << 20


def test_a_long_outline_of_many_rows_is_held_once(tmp_path: Path) -> None:
    n = 2000
    line = shapely.to_wkb(shapely.linestrings(np.ones((625, 2))))
    pq.write_table(pa.table({"geometry": pa.array([line] * n)}), tmp_path / "n.parquet")
    with counted_memory() as counted:
        assert len(read_parquet(tmp_path / "n.parquet").table) == n
    assert counted.max_memory() < 10 << 20


@pytest.mark.parametrize("row_group_rows", [2, 6])
def test_batches_of_long_rows_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row_group_rows: int
) -> None:
    monkeypatch.setattr("muse_core.nuclei.formats.parquet._SMALL_BYTES", 0)
    monkeypatch.setattr("muse_core.nuclei.formats.geoparquet._BATCH_BYTES", 100)
    lengths = []

    def counted(shapes: Any) -> Any:
        lengths.append(len(shapes))
        return centres(shapes)

    monkeypatch.setattr(geoparquet, "centres", counted)
    write_outlines(tmp_path / "o.parquet", label=pa.array(list("abcdef")))
    table = pq.read_table(tmp_path / "o.parquet")
    pq.write_table(table, tmp_path / "o.parquet", row_group_size=row_group_rows)
    assert read_parquet(tmp_path / "o.parquet").table["class_name"].tolist() == list("abcd")
    assert lengths == [1] * 6


def test_the_nuclei_of_a_published_slide() -> None:
    """592,349 outlines in six classes from the wheel histolytics 0.3.0, hgsc_nuclei_wsi.parquet."""
    source = os.environ.get("MUSE_HISTOLYTICS_NUCLEI")
    if not source:
        pytest.skip("set MUSE_HISTOLYTICS_NUCLEI to hgsc_nuclei_wsi.parquet of histolytics 0.3.0")
    found = read_parquet(source)
    assert len(found.table) == 592_349
    raw = pd.read_parquet(source)
    assert (
        found.table["class_name"].value_counts().to_dict()
        == raw["class_name"].value_counts().to_dict()
    )
    chosen = np.random.default_rng(0).choice(len(raw), 500, replace=False)
    for row in chosen:
        outline = shapely.from_wkb(raw["geometry"].iloc[row])
        box = shapely.box(*outline.bounds)
        middle = shapely.Point(found.table.loc[row, ["x", "y"]])
        # Outlines that cross themselves may have their centroid outside.
        expected = outline.centroid if box.covers(outline.centroid) else box.centroid
        assert middle.distance(expected) < 1e-6


AB = ["a", "b", None, "a", "b"]


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (pa.array(AB), "ab?ab"),
        (pa.array(AB, pa.large_string()), "ab?ab"),
        (pa.array(AB, pa.string_view()), "ab?ab"),
        (pa.array([v and v.encode() for v in AB], pa.binary()), "ab?ab"),
        (pa.array(AB).dictionary_encode(), "ab?ab"),
        (pa.array(AB).cast(pa.dictionary(pa.uint32(), pa.large_string())), "ab?ab"),
        (pa.array(["a", "b", " ", "a", "b"]), "ab?ab"),
        (pa.array([1, 2, None, 1, 2]), "12?12"),
        (pa.array([1, 2, None, 1, 2], pa.uint8()).dictionary_encode(), "12?12"),
        (pa.array([1.0, 2.0, np.nan, 1.0, 2.0], pa.float32()), "12?12"),
        (pa.nulls(5), "?????"),
    ],
)
@pytest.mark.parametrize("with_places", [True, False])
def test_every_type_of_classes(
    tmp_path: Path, classes: Any, expected: str, with_places: bool
) -> None:
    x = np.arange(5.0)
    places = (
        {"x_px": x, "y_px": x}
        if with_places
        else {"geometry": shapely.to_wkb(shapely.points(x, x))}
    )
    pq.write_table(pa.table({**places, "class": classes}), tmp_path / "n.parquet")
    found = read_parquet(tmp_path / "n.parquet")
    names = [n.replace("?", "unclassified") for n in expected]
    assert found.table["class_name"].tolist() == names
    without = {1: "1 nucleus without a class is now", 5: "5 nuclei without a class are now"}
    sentence = f"{without[names.count('unclassified')]} 'unclassified'."
    assert found.notes.count(sentence) == 1


def test_every_type_of_numbers_and_missing_cells(tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    table = {
        "ID": pa.array([2**62, 7], pa.uint64()),
        "X_px": pa.array([Decimal("1.25"), Decimal("2.5")]),
        "y_px": pa.array([3, 4], pa.int16()),
        "CLASS": ["a", "b"],
        "score": pa.array([None, 0.5], pa.float16()),
        "status": ["added", None],
        "model": pa.array([None, "m"]).dictionary_encode(),
    }
    pq.write_table(pa.table(table), path)
    found = read_parquet(path)
    assert found.table.to_numpy().tolist() == [
        [2**62, 1.25, 3, "a", 1, "added", ""],
        [7, 2.5, 4, "b", 0.5, "predicted", "m"],
    ]
    assert found.notes == ()


def native(encoding: str, shapes: list[Any], interleaved: bool) -> pa.Array:
    """GeoArrow by its specification, built from the outside in; None is a missing geometry."""
    kind = (
        pa.list_(pa.float64(), 2)
        if interleaved
        else pa.struct([("x", pa.float64()), ("y", pa.float64())])
    )
    depth = {"point": 0, "multipoint": 1, "polygon": 2, "multipolygon": 3}[encoding]

    def corner(point: Any) -> Any:
        return list(point) if interleaved else {"x": point[0], "y": point[1]}

    def within(value: Any, level: int) -> Any:
        return corner(value) if level == 0 else [within(v, level - 1) for v in value]

    for _ in range(depth):
        kind = pa.list_(kind)
    return pa.array([None if s is None else within(s, depth) for s in shapes], kind)


RING = [(0, 0), (4, 0), (4, 2), (0, 2), (0, 0)]
FAR = [(10, 10), (16, 10), (10, 16), (10, 10)]


@pytest.mark.parametrize("interleaved", [True, False])
@pytest.mark.parametrize("rows", [1 << 16, 1, 2])
@pytest.mark.parametrize(
    ("encoding", "shapes", "expected"),
    [
        ("point", [(2, 1), None, (12, 12)], [[2, 1], [12, 12]]),
        ("multipoint", [[(1, 1), (3, 1)], None, [(12, 12)]], [[2, 1], [12, 12]]),
        ("polygon", [[RING], None, [FAR]], [[2, 1], [12, 12]]),
        ("multipolygon", [[[RING]], None, [[FAR]]], [[2, 1], [12, 12]]),
    ],
)
def test_native_geometries(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    shapes: Any,
    expected: list[list[int]],
    rows: int,
    interleaved: bool,
) -> None:
    monkeypatch.setattr(geoparquet, "_BATCH_ROWS", rows)
    path = tmp_path / "g.parquet"
    geo = {
        "version": "1.1.0",
        "primary_column": "outline",
        "columns": {"outline": {"encoding": encoding, "geometry_types": []}},
    }
    table = pa.table({"outline": native(encoding, shapes, interleaved), "type": list("abc")})
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    found = read_parquet(path)
    assert found.table[["x", "y"]].to_numpy() == pytest.approx(np.array(expected))
    assert found.table["class_name"].tolist() == ["a", "c"]
    assert "1 object without a place was left out." in found.notes


def test_what_a_file_without_nuclei_has_is_said(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0], "y": [2.0], "kind": ["a"]}), tmp_path / "n.parquet")
    with pytest.raises(UserError, match=r"x_px, y_px and class, .*; it has x, y, kind\."):
        read_parquet(tmp_path / "n.parquet")
