"""GeoJSON with unexpected features or geometries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from muse_core.errors import UserError
from muse_core.nuclei.formats.geojson.read import read_geojson

from .geojson_files import SQUARE, feature, read, rows

GOOD = feature(("Polygon", [SQUARE]), {"objectType": "detection", "class": "a"})
ODD = "features that are not as GeoJSON has them were left out"
NO_PLACE = "objects without a place were left out"
FLAT = "regions without an area were left out"
NAME = "objects with an unreadable or endless name were left out"
ANNOTATION = {"objectType": "annotation"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (1, ODD),
        (None, ODD),
        ("text", ODD),
        ([1], ODD),
        ({"type": "Feature"}, ODD),
        ({"type": "Feature", "geometry": 5}, ODD),
        ({"type": "Feature", "geometry": None}, NO_PLACE),
        ({"type": "Feature", "geometry": {"type": "Point"}}, ODD),
        ({"type": "Polygon", "coordinates": [SQUARE]}, ODD),
        (feature(("Point", []), {}), NO_PLACE),
        (feature(("Point", [None, None]), {}), NO_PLACE),
        (feature(("Point", [float("nan"), 1]), {}), NO_PLACE),
        (feature(("Point", [1, float("inf")]), {}), NO_PLACE),
        (feature(("Point", [1]), {}), ODD),
        (feature(("Point", [True, False]), {}), ODD),
        (feature(("Point", ["1", "2"]), {}), ODD),
        (feature(("Point", [[1, 2]]), {}), ODD),
        (feature(("Point", [10**400, 2]), {}), ODD),
        (feature(("Point", [1e300, 2]), {}), "farther out than any slide"),
        (feature(("Point", [1, -1e10]), {}), "farther out than any slide"),
        (feature(("MultiPoint", 3), {}), ODD),
        (feature(("MultiPoint", []), {}), NO_PLACE),
        (feature(("MultiPoint", [[1, 2], "x"]), {}), ODD),
        (feature(("Point", [1, 2]), [1]), ODD),
        (feature(("Circle", [1, 2]), {}), "unknown kind of geometry"),
        (feature(("LineString", [[1, 2], [3, 4]]), {}), "lines were left out"),
        (feature(("Polygon", []), {}), NO_PLACE),
        (feature(("Polygon", [[]]), {}), NO_PLACE),
        (feature(("MultiPolygon", []), {}), NO_PLACE),
        (feature(("MultiPolygon", [[[]]]), {}), NO_PLACE),
        (feature(("Polygon", {"a": 1}), {}), ODD),
        (feature(("Polygon", [1, 2]), {}), ODD),
        (feature(("Polygon", [[1, 2]]), {}), ODD),
        (feature(("Polygon", SQUARE), {}), ODD),
        (feature(("Polygon", [[SQUARE]]), {}), ODD),
        (feature(("MultiPolygon", [SQUARE]), {}), ODD),
        (feature(("Polygon", [[[1], [2], [3]]]), {}), ODD),
        (feature(("Polygon", [[["a", "b"], ["c", "d"], ["e", "f"]]]), {}), ODD),
        (feature(("Polygon", [[[0, 0], [1, 10**400], [2, 0]]]), {}), ODD),
        (feature(("Polygon", [[[0, 0], [1e300, 0], [1e300, 1e300]]]), {}), "left out"),
        (feature(("Polygon", [[[0, None], [1, 1], [2, 0]]]), {}), ODD),
        (feature(("Polygon", []), ANNOTATION), NO_PLACE),
        (feature(("Polygon", [[]]), ANNOTATION), NO_PLACE),
        (feature(("Polygon", [[[0, 0], [1, 1]]]), ANNOTATION), FLAT),
        (feature(("Polygon", [[[7, 7], [9, 9], [7, 7]]]), ANNOTATION), FLAT),
        (feature(("Polygon", [[[7, 7], [8, 8], [9, 9], [7, 7]]]), ANNOTATION), FLAT),
        (feature(("Polygon", [[[0, 0], [1, float("nan")], [1, 1]]]), ANNOTATION), FLAT),
        (feature(("Polygon", [[[0, 0], [1e12, 0], [1, 1]]]), ANNOTATION), "farther out"),
        (feature(("Polygon", [[1, 2], [3, 4]]), ANNOTATION), ODD),
        (feature(("Polygon", [SQUARE]), ANNOTATION | {"name": "x" * 1001}), NAME),
        (feature(("Point", [1, 2]), {"class": "x" * 1001}), NAME),
        (feature(("Point", [1, 2]), {"class": "\ud800"}), NAME),
        (feature(("Point", [1, 2]), {"metadata": {"model": "x" * 1001}}), NAME),
        (feature(("Polygon", [SQUARE]), {}) | {"geometry": {"type": "GeometryCollection"}}, ODD),
    ],
)
def test_an_odd_feature_is_left_out_alone_and_said(tmp_path: Path, wrong: Any, reason: Any) -> None:
    found = read(tmp_path, [GOOD, GOOD, wrong, GOOD, wrong, GOOD])
    assert rows(found) == [[12, 22, "a"]] * 4
    assert found.regions == ()
    (note,) = found.notes
    assert note.startswith("2 ")
    assert reason in note
    assert note.endswith(" (first: features[2]).")


def test_five_hundred_good_nuclei_outlive_every_kind_of_odd_one(tmp_path: Path) -> None:
    odd = [
        feature(("Polygon", []), ANNOTATION),
        feature(("Point", []), {}),
        feature(("Polygon", [[[0, 0], [1, 1]]]), ANNOTATION),
        feature(("Polygon", [[["a"]]]), {}),
    ]
    good = [feature(("Polygon", [SQUARE]), {"class": "a"}) for _ in range(500)]
    found = read(
        tmp_path, {"type": "FeatureCollection", "features": [*good[:77], *odd, *good[77:]]}
    )
    assert len(found.table) == 500
    assert found.notes == (
        "2 objects without a place were left out (first: features[77]).",
        "1 region without an area was left out (first: features[79]).",
        "1 feature that is not as GeoJSON has it was left out (first: features[80]).",
    )


def test_a_file_of_nothing_but_odd_features_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^f\.geojson: .*nothing that can be read.*features\[0\]"):
        read(tmp_path, [feature(("Polygon", [[1, 2]]), {}), 7])
    assert len(read(tmp_path, []).table) == 0
    assert len(read(tmp_path, [feature(("Polygon", [SQUARE]), {"objectType": "tile"})]).table) == 0


def test_odd_children_take_neither_parent_nor_siblings_with_them(tmp_path: Path) -> None:
    parent = feature(
        ("Polygon", [SQUARE]), ANNOTATION | {"name": "p", "childObjects": [7, GOOD, {"a": 1}]}
    )
    found = read(tmp_path, [parent])
    assert rows(found) == [[12, 22, "a"]]
    assert [region.name for region in found.regions] == ["p"]
    assert found.notes == (f"2 {ODD} (first: features[0]).",)


def test_children_of_children_without_end_are_left_out(tmp_path: Path) -> None:
    nested: dict[str, Any] = feature(("Point", [1, 2]), {})
    for _ in range(100):
        nested = feature(("Point", [1, 2]), {"childObjects": [nested]})
    found = read(tmp_path, [nested])
    assert len(found.table) == 51
    assert "under too many others" in found.notes[0]


def collection(properties: dict[str, Any], *parts: tuple[str, Any]) -> dict[str, Any]:
    geometries = [{"type": kind, "coordinates": c} for kind, c in parts]
    geometry = {"type": "GeometryCollection", "geometries": geometries}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def test_collections_of_geometries_are_their_areas_or_else_their_points(tmp_path: Path) -> None:
    line, point = ("LineString", [[0, 0], [1, 1]]), ("Point", [3, 4])
    nested = collection({"class": "c"}, point)
    nested["geometry"]["geometries"].append(
        {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [5, 6]}]}
    )
    found = read(
        tmp_path,
        [
            collection({"class": "a"}, ("Polygon", [SQUARE]), line, point),
            collection({"class": "b"}, point, line),
            collection(ANNOTATION | {"name": "r"}, ("Polygon", [SQUARE]), point),
            nested,
            collection({"class": "d"}, line),
            collection({"class": "e"}),
        ],
    )
    assert rows(found) == [[12, 22, "a"], [3, 4, "b"], [3, 4, "c"], [5, 6, "c"]]
    assert [region.name for region in found.regions] == ["r"]
    assert found.notes == (
        "2 lines were left out (first: features[1]).",
        "1 object without a place was left out (first: features[5]).",
        "3 points and lines beside the areas of an object were left out (first: features[0]).",
    )


def test_outlines_of_three_dimensions_without_end_and_crossing_themselves(tmp_path: Path) -> None:
    high = [[x, y, 3] for x, y in SQUARE]
    mixed = [[10, 20], [14, 20, 1], [14, 24], [10, 24, 1]]
    tie = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]
    found = read(
        tmp_path,
        [
            *[feature(("Polygon", [ring]), {"class": "a"}) for ring in (high, mixed, tie)],
            feature(("Point", [1.5, 2, 3]), {"class": "a"}),
            feature(("Polygon", [[[7, 7]]]), {"class": "a"}),
            feature(("Polygon", [tie]), ANNOTATION),
        ],
    )
    assert rows(found) == [
        [12, 22, "a"],
        [12, 22, "a"],
        [1, 1, "a"],
        [1.5, 2, "a"],
        [7, 7, "a"],
    ]
    assert len(found.regions) == 1
    assert found.notes == ()


def test_the_outline_of_a_cell_counts_where_its_nucleus_is_nowhere(tmp_path: Path) -> None:
    cell = {"objectType": "cell", "class": "a"}
    for nucleus in (None, {"type": "Polygon", "coordinates": []}, 5):
        found = read(tmp_path, [feature(("Polygon", [SQUARE]), cell, nucleusGeometry=nucleus)])
        assert rows(found) == [[12, 22, "a"]]


def test_blank_names_and_other_peoples_metadata_cost_no_nucleus(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            feature(("Point", [1, 2]), {"classification": {"name": "  "}}),
            feature(("Point", [1, 2]), {"metadata": "text", "class": "a"}),
            feature(("Point", [1, 2]), {"metadata": [1], "measurements": 7, "class": "a"}),
        ],
    )
    assert found.table["class_name"].tolist() == ["unclassified", "a", "a"]
    assert found.classes().names == ("a", "unclassified")


@pytest.mark.parametrize("second", ['[{"type": "Feature"}]', "null", '"x"', "{}"])
def test_a_second_list_of_features_is_never_lost_unsaid(tmp_path: Path, second: str) -> None:
    path = tmp_path / "twice.geojson"
    text = f'{{"type": "FeatureCollection", "features": [{json.dumps(GOOD)}], "features": '
    path.write_text(f"{text}{second}}}")
    with pytest.raises(UserError, match=r"twice\.geojson has more than one list of features"):
        read_geojson(path)
    path.write_text(f"{text}[]}}")
    assert len(read_geojson(path).table) == 1
