"""Classifications of QuPath in tables, as geopandas and pandas write what they have read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from muse_core.nuclei import read_csv
from muse_core.nuclei.formats.geojson.read import read_geojson
from muse_core.nuclei.formats.parquet import read_parquet

CLASSIFICATIONS: list[Any] = [
    {"name": "Tumor", "color": [200, 0, 0]},
    {"name": None, "names": ["Tumor", "Positive"]},
    {"name": "Stroma", "names": []},
    None,
]


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ('{ "name": "Tumor", "color": [ 200, 0, 0 ] }', "Tumor"),
        ('{"names": ["Tumor", "Positive"], "color": [200, 0, 0]}', "Tumor: Positive"),
        ('{"name": null}', "unclassified"),
        ("{'name': 'Tumor', 'color': array([200, 0, 0], dtype=int32)}", "Tumor"),
        ("{'name': \"Paget's\"}", "Paget's"),
        ("{'name': None, 'color': [1, 2, 3]}", "unclassified"),
        ("{}", "{}"),
        ("{a", "{a"),
        ('{"a": 1}', '{"a": 1}'),
    ],
)
def test_a_classification_of_qupath_in_a_cell_is_its_name(
    tmp_path: Path, cell: str, name: str
) -> None:
    path = tmp_path / "n.csv"
    frame = pd.DataFrame({"x_px": [1], "y_px": [2], "classification": [cell]})
    frame.to_csv(path, index=False)
    assert read_csv(path)["class_name"].tolist() == [name]


@pytest.mark.parametrize("alone", [False, True])
def test_a_column_of_classifications_holds_their_names(tmp_path: Path, alone: bool) -> None:
    path = tmp_path / "n.parquet"
    given = [{"name": c["name"]} if c and alone else c for c in CLASSIFICATIONS]
    expected = ["Tumor", "unclassified" if alone else "Tumor: Positive", "Stroma", "unclassified"]
    outlines = shapely.to_wkb([shapely.box(i, 0, i + 1, 1) for i in range(4)])
    pq.write_table(pa.table({"geometry": outlines, "classification": pa.array(given)}), path)
    assert read_parquet(path).table["class_name"].tolist() == expected
    places = {"x_px": [1.0] * 4, "y_px": [2.0] * 4, "id": list("abcd")}
    pq.write_table(pa.table({**places, "classification": pa.array(given)}), path)
    found = read_parquet(path)
    assert found.table["class_name"].tolist() == expected
    assert found.table["id"].tolist() == [0, 1, 2, 3]
    assert "Ids that are no numbers were replaced." in found.notes


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"classification": ["Tumor", "Positive"]}, "Tumor: Positive"),
        ({"classification": ["Tumor"]}, "Tumor"),
        ({"classification": {"name": ["Tumor"]}}, "Tumor"),
        ({"classification": [{"name": "Tumor"}]}, "Tumor"),
        ({"class": {"name": "Tumor", "color": [200, 0, 0]}}, "Tumor"),
        ({"classification": [], "class": "Tumor"}, "Tumor"),
        ({"classification": {}, "class": "Tumor"}, "unclassified"),
        ({"classification": None, "cell_type": {"names": ["a", "b"]}}, "a: b"),
        ({"type": ["detection"], "label": "Tumor"}, "Tumor"),
        ({"class": [], "label": {"a": 1}}, "unclassified"),
        ({"class": {"name": 3.0}}, "3.0"),
    ],
)
def test_names_in_lists_and_objects_are_found(
    tmp_path: Path, properties: dict[str, Any], name: str
) -> None:
    feature = {"geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": properties}
    path = tmp_path / "n.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert read_geojson(path).table["class_name"].tolist() == [name]
