from __future__ import annotations

import gzip
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NamedRegion, NucleusFile, nucleus_table
from muse_core.nuclei.formats.geojson.read import read_geojson
from muse_core.nuclei.formats.geojson.write import feature_uuid, nucleus_id, write_geojson

from .geojson_files import HOLE, SQUARE, feature, read, rows


def test_collections_in_place_of_features(tmp_path: Path) -> None:
    points = [
        feature(("Point", [i, i + 0.5]), {"classification": {"name": name}})
        for i, name in enumerate("abcd")
    ]
    inner = {"type": "FeatureCollection", "features": [points[2], 7]}
    outer = {"type": "FeatureCollection", "features": [points[1], inner]}
    empty = {"type": "FeatureCollection", "features": None}
    found = read(
        tmp_path, {"type": "FeatureCollection", "features": [points[0], outer, points[3], empty]}
    )
    assert rows(found) == [[i, i + 0.5, name] for i, name in enumerate("abcd")]
    assert found.notes == (
        "1 feature that is not as GeoJSON has it was left out (first: features[1]).",
    )


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1))
def test_ids_survive_as_uuids_of_version_8(number: int) -> None:
    text = feature_uuid(number)
    parsed = uuid.UUID(text)
    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)
    assert nucleus_id(text) == number


def test_what_stands_in_the_file(tmp_path: Path) -> None:
    table = nucleus_table(
        [1.5, 3],
        [2.25, 4],
        ["tumor", "odd"],
        [0.1, 1],
        ["corrected", "added"],
        ["m", ""],
        ids=[7, 9],
    )
    region = NamedRegion(((0, 0), (9, 0), (9, 9)), "left", True)
    scheme = ClassScheme.from_names(["tumor"])
    write_geojson(NucleusFile(table, scheme, 0.25, (region,)), tmp_path / "n.geojson")
    whole = json.loads((tmp_path / "n.geojson").read_text(encoding="utf-8"))
    assert whole["type"] == "FeatureCollection"
    outline, first, second = whole["features"]
    assert first == {
        "type": "Feature",
        "id": "4d555345-0000-8000-8000-000000000007",
        "geometry": {"type": "Point", "coordinates": [1.5, 2.25]},
        "properties": {
            "objectType": "detection",
            "classification": {"name": "tumor", "color": [232, 32, 12]},
            "measurements": {"Score": 0.1},
            "metadata": {"status": "corrected", "model": "m"},
        },
    }
    assert second["properties"]["classification"] == {"name": "odd"}
    assert second["properties"]["metadata"] == {"status": "added"}
    assert outline["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]],
    }
    assert outline["properties"]["objectType"] == "annotation"
    assert outline["properties"]["name"] == "left"
    # As read by another library.
    shapes = [shapely.from_geojson(json.dumps(f["geometry"])) for f in whole["features"]]
    assert [s.geom_type for s in shapes] == ["Polygon", "Point", "Point"]
    assert shapes[0].area == 40.5


def _qupath_objects() -> list[dict[str, Any]]:
    """A cell, a nucleus of two parts, clicked points, a drawn field, and other features."""
    cell = feature(
        ("Polygon", [[[0, 0], [100, 0], [100, 100], [0, 0]]]),
        {
            "objectType": "cell",
            "classification": {"names": ["Tumor", "Positive"], "color": [200, 0, 10]},
            "measurements": {"Nucleus: Area": 12.5, "Detection probability": 0.75},
        },
        nucleusGeometry={"type": "Polygon", "coordinates": [SQUARE]},
        id="0f6d0c1e-8d8e-4a55-9d3b-1f6a0d6a7b11",
    )
    detection = feature(("Polygon", [SQUARE, HOLE]), {"objectType": "detection"})
    two_parts = feature(
        ("MultiPolygon", [[SQUARE], [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]]),
        {"objectType": "detection", "classification": {"name": "Immune", "colorRGB": -3670016}},
    )
    clicked = feature(
        ("MultiPoint", [[1, 2], [3, 4]]),
        {"objectType": "annotation", "classification": {"name": "Immune"}},
    )
    drawn = feature(
        ("Polygon", [SQUARE, HOLE]),
        {
            "objectType": "annotation",
            "name": "Field 1",
            "classification": {"name": "Tumor"},
            "childObjects": [detection],
        },
    )
    others = [
        feature(("Polygon", [SQUARE]), {"objectType": "tile"}),
        feature(("LineString", SQUARE), {"objectType": "annotation"}),
        {"type": "Feature", "geometry": None, "properties": {"objectType": "detection"}},
    ]
    return [cell, two_parts, clicked, drawn, *others]


def test_qupath_objects_of_all_kinds(tmp_path: Path) -> None:
    found = read(tmp_path, _qupath_objects())
    assert rows(found) == [
        [12, 22, "Tumor: Positive"],
        [(16 * 12 + 0.5) / 17, (16 * 22 + 0.5) / 17, "Immune"],
        [1, 2, "Immune"],
        [3, 4, "Immune"],
        [
            pytest.approx((16 * 12 - 11.5) / 15),
            pytest.approx((16 * 22 - 21.5) / 15),
            "unclassified",
        ],
    ]
    assert found.table["score"].tolist() == [0.75, 1, 1, 1, 1]
    assert (found.table["status"] == "predicted").all()
    assert found.table["id"].tolist() == [0, 1, 2, 3, 4]
    assert found.regions == (NamedRegion(((10, 20), (14, 20), (14, 24), (10, 24)), "Field 1"),)
    assert found.scheme is not None
    assert found.scheme.color("Tumor: Positive") == "#c8000a"
    assert found.scheme.color("Immune") == "#c80000"
    notes = " ".join(found.notes)
    for part in (
        "1 tile was left out (first: features[4])",
        "1 line ",
        "1 object without a place",
        "1 hole ",
        "1 nucleus without",
    ):
        assert part in notes


@pytest.mark.parametrize("other", [{"z": 3}, {"t": 1.0}, {"c": -1, "z": 2.0, "t": 0}])
def test_nuclei_of_several_planes_are_not_laid_over_each_other(
    tmp_path: Path, other: dict[str, int]
) -> None:
    def nucleus(plane: object) -> dict[str, Any]:
        made = feature(("Polygon", [SQUARE]), {"objectType": "detection"})
        made["geometry"]["plane"] = plane
        return made

    path = tmp_path / "a.geojson"
    path.write_text(json.dumps([nucleus(other), nucleus(other)]))
    found = read_geojson(path)
    assert len(found.table) == 2
    assert found.plane_zt == (other.get("z", 0), other.get("t", 0))
    write_geojson(found, path)
    assert read_geojson(path).plane_zt == found.plane_zt
    path.write_text(json.dumps([nucleus(None), nucleus({"c": 2, "z": 0.0, "t": 0}), nucleus("x")]))
    assert len(read_geojson(path).table) == 3
    area = feature(("Polygon", [SQUARE]), {"objectType": "annotation"})
    path.write_text(json.dumps([area, nucleus(other)]))
    assert len(read_geojson(path).table) == 1
    path.write_text(json.dumps([nucleus(other), feature(("Point", [3, 4]), {})]))
    with pytest.raises(UserError, match=r"a\.geojson: It holds nuclei of several planes \(z 0"):
        read_geojson(path)


def test_older_qupath(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            feature(
                ("Polygon", [SQUARE]),
                {"measurements": [{"name": "Score", "value": 0.5}]},
                id="PathDetectionObject",
            ),
            feature(("Polygon", [SQUARE]), {"object_type": "annotation"}),
            feature(("Polygon", [SQUARE]), {}, id="PathAnnotationObject"),
        ],
    )
    assert rows(found) == [[12, 22, "unclassified"]]
    assert found.table["score"].tolist() == [0.5]
    assert len(found.regions) == 2


def test_plain_polygons_with_type_and_probability(tmp_path: Path) -> None:
    properties = [{"type": 3, "prob": 0.25}, {"type": "mitosis", "prob": 40}, {"label": "cell"}]
    found = read(
        tmp_path,
        {
            "type": "FeatureCollection",
            "features": [feature(("Polygon", [SQUARE]), p) for p in properties],
        },
    )
    assert rows(found) == [[12, 22, "3"], [12, 22, "mitosis"], [12, 22, "cell"]]
    assert found.table["score"].tolist() == [0.25, 1, 1]
    assert (found.scheme, found.regions) == (None, ())


def test_all_nuclei_of_a_class_as_one_annotation(tmp_path: Path) -> None:
    shifted = [[x + 100, y] for x, y in SQUARE]
    inner = {"objectType": "annotation", "classification": {"name": "Neo", "color": [255, 0, 0]}}
    features = [feature(("MultiPolygon", [[SQUARE], [shifted]]), inner)]
    as_regions = read(tmp_path, features)
    assert len(as_regions.table) == 0
    assert [r.name for r in as_regions.regions] == ["Neo", "Neo"]
    assert "regions" in as_regions.notes[0]
    as_nuclei = read(tmp_path, features, outlines_are_nuclei=True)
    assert rows(as_nuclei) == [[12, 22, "Neo"], [112, 22, "Neo"]]
    assert as_nuclei.regions == ()
    assert as_nuclei.scheme is not None


def test_ids_after_work_in_qupath(tmp_path: Path) -> None:
    def point(x: float, **more: Any) -> dict[str, Any]:
        return feature(("Point", [x, 0]), {"objectType": "detection"}, **more)

    ours = feature_uuid(5)
    found = read(tmp_path, [point(0, id=ours), point(1), point(2, id=ours), point(3, id="x")])
    assert found.table["id"].tolist()[0] == 5
    assert len(set(found.table["id"])) == 4
    large = read(tmp_path, [point(0, id=feature_uuid(2**53 + 1)), point(1)])
    assert large.table["id"].tolist() == [2**53 + 1, 2**53 + 2]
    last = feature_uuid(2**63 - 1)
    assert sorted(read(tmp_path, [point(0, id=last), point(1)]).table["id"]) == [0, 1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings(tmp_path: Path, encoding: str, packed: bool) -> None:
    text = json.dumps([feature(("Point", [1, 2]), {"class": "Épithélium"})], ensure_ascii=False)
    raw = text.encode(encoding)
    path = tmp_path / ("f.geojson.gz" if packed else "f.geojson")
    path.write_bytes(gzip.compress(raw) if packed else raw)
    found = read_geojson(path)
    assert rows(found) == [[1, 2, "Épithélium"]]
    assert len(found.notes) == (encoding == "cp1252")


def test_colours_as_whole_floats(tmp_path: Path) -> None:
    classification = {"name": "T", "color": [200.0, 0.0, 16.0]}
    found = read(tmp_path, [feature(("Point", [1, 2]), {"classification": classification})])
    assert found.classes().color("T") == "#c80010"


def test_damaged_notes_of_ours_are_refused(tmp_path: Path) -> None:
    for muse in (3, {"mpp": "x"}, {"mpp": -1}, {"classes": [{"name": 1}]}, {"classes": 5}):
        with pytest.raises(UserError, match=r"f\.geojson"):
            read(tmp_path, {"type": "FeatureCollection", "muse": muse, "features": []})


def test_more_nuclei_than_a_slide_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muse_core.nuclei.nucleus_file.MAX_NUCLEI", 100)
    table = nucleus_table(np.arange(101.0), np.arange(101.0), "tumor")
    for name in ("n.geojson", "n.geojson.gz"):
        write_geojson(NucleusFile(table), tmp_path / name)
        with pytest.raises(UserError, match="more than 100 nuclei"):
            read_geojson(tmp_path / name)


def test_more_regions_than_a_person_draws_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlines = [feature(("Polygon", [SQUARE]), {"objectType": "annotation"})] * 11
    for limit, value in (("_MAX_REGIONS", 10), ("_MAX_CORNERS", 50)):
        with monkeypatch.context() as lower:
            lower.setattr(f"muse_core.nuclei.formats.geojson.read.{limit}", value)
            with pytest.raises(UserError, match="if the outlines are nuclei"):
                read(tmp_path, outlines)
            assert len(read(tmp_path, outlines, outlines_are_nuclei=True).table) == 11


def test_gzip_is_gzip(tmp_path: Path) -> None:
    nuclei = NucleusFile(nucleus_table([1.0], [2.0], "tumor"))
    write_geojson(nuclei, tmp_path / "n.geojson")
    write_geojson(nuclei, tmp_path / "n.geojson.gz")
    unpacked = gzip.decompress((tmp_path / "n.geojson.gz").read_bytes())
    assert unpacked == (tmp_path / "n.geojson").read_bytes()


def test_a_property_that_numbers_the_nuclei_is_refused(tmp_path: Path) -> None:
    numbered = [feature(("Point", [1, 2]), {"label": f"cell {i}"}) for i in range(257)]
    assert len(read(tmp_path, numbered[:256]).table) == 256
    with pytest.raises(UserError, match=r"f\.geojson: The property 'label' names more than 256"):
        read(tmp_path, numbered)


def test_a_scale_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    # Python's own parser, which reads NaN, keeps whole numbers of any length.
    path = tmp_path / "f.geojson"
    path.write_text('{"features": [], "x": NaN, "muse": {"mpp": 1' + "0" * 400 + "}}")
    with pytest.raises(UserError, match=r"f\.geojson: .*damaged"):
        read_geojson(path)


def test_points_are_counted_before_they_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muse_core.nuclei.nucleus_file.MAX_NUCLEI", 5)
    three = feature(("MultiPoint", [[0, 0]] * 3), {})
    # A point that would be invalid if it were read.
    bad = feature(("MultiPoint", [[0, 0], [0, 0], "x"]), {})
    with pytest.raises(UserError, match=r"f\.geojson: It holds more than 5 nuclei"):
        read(tmp_path, [three, bad])
