from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.nuclei.formats.geojson.feature_stream import FeatureStream

texts = st.text(st.sampled_from('ab"\\[]{},:é\n') | st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
features = st.lists(st.dictionaries(texts, values, max_size=4), max_size=6)
members = st.dictionaries(texts.filter(lambda k: k != "features"), values, max_size=3)


def read(text: bytes, block_bytes: int = 1 << 22) -> tuple[list[Any], dict[str, Any]]:
    stream = FeatureStream(io.BytesIO(text), "f.geojson", block_bytes)
    found = [feature for batch in stream for feature in batch]
    return found, stream.members


@settings(deadline=None)
@given(
    items=features,
    before=members,
    after=members,
    block=st.integers(1, 40),
    indent=st.none() | st.integers(0, 2),
    ascii_only=st.booleans(),
)
@example([{"a": "\\"}, {"b": '\\"}]'}], {"features ": [{}]}, {}, 1, None, True)
def test_any_cut_gives_what_json_gives(
    items: list[Any],
    before: dict[str, Any],
    after: dict[str, Any],
    block: int,
    indent: int | None,
    ascii_only: bool,
) -> None:
    whole = {**before, "features": items, **after}
    text = json.dumps(whole, indent=indent, ensure_ascii=ascii_only).encode()
    assert read(text, block) == (items, {k: v for k, v in whole.items() if k != "features"})
    listed = json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode()
    assert read(listed, block) == (items, {})


def test_a_single_feature_and_a_byte_order_mark() -> None:
    text = b'\xef\xbb\xbf{"type": "Feature", "x": [{"y": 1}]}'
    assert read(text)[0] == [{"type": "Feature", "x": [{"y": 1}]}]
    assert read(b'\xef\xbb\xbf [{"a": 1}]\r\n')[0] == [{"a": 1}]


@settings(deadline=None)
@given(
    properties=st.lists(values, min_size=1, max_size=6),
    between=st.sampled_from(["\n", "\r\n", "", " \n\n", "\n\x1e"]),
    block=st.integers(1, 40),
)
def test_features_without_a_list_around_them(
    properties: list[Any], between: str, block: int
) -> None:
    items = [{"type": "Feature", "properties": p} for p in properties]
    text = between.join(json.dumps(item) for item in items)
    assert read(text.encode(), block)[0] == items
    assert read(f"\x1e{text}\n".encode(), block)[0] == items
    with pytest.raises(UserError, match="ends in the middle"):
        read(f'{text}\n{{"type": "Feature", "x": ['.encode(), block)


def test_nan_of_qupath() -> None:
    found, _ = read(b'[{"a": NaN}, {"b": -Infinity, "c": "NaN"}]')
    assert found[0]["a"] != found[0]["a"]
    assert found[1] == {"b": float("-inf"), "c": "NaN"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"12",
        b'{"type": "FeatureCollection"}',
        b'{"type": "Topology", "objects": [[[0, 0]]]}',
        b'{"features": {"a": [1]}}',
        b'{"type": "Feature"}\n{"type": "Shape"}',
        b'{"type": ["Point"]}',
        b'{"type": "Feature"}, {"type": "Feature"}',
        b'{"features": [{"a": 1}]',
        b'{"features": [{"a": 1}',
        b'{"features": [{"a": 1},',
        b'{"features": [{"a": 1} {"b": 2}]}',
        b'{"features": [{"a": 1}]} trailing',
        b'{"features": [{"a": NaN, }]}',
        b'[{"a": 1]}',
        b'[{"a": "open}]',
        b"[[[[",
        b"]" * 1000,
        b"\\" * 1000,
        b'[{"a": "\x81"}]',
        '[{"a": 1}]'.encode("utf-16"),
        b"[" * 200_000 + b"]" * 200_000,
        b'[{"a":' * 50_000,
    ],
    ids=range(24),
)
@pytest.mark.parametrize("block_bytes", [1, 1 << 22])
def test_what_is_no_collection_of_features_is_refused(text: Any, block_bytes: int) -> None:
    if block_bytes == 1:
        text = text[:2000]
    with pytest.raises(UserError, match=r"f\.geojson"):
        read(text, block_bytes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"mag": 40, "nuc": {"1": {"centroid": [1, 2]}}}', "; it has mag, nuc."),
        (b'{"type": "Feature"}\n{"a": 1}', "; it has a."),
        (b'{"%s": 1}' % (b"k" * 500), f"; it has {'k' * 100}...."),
        (b"{}", "features."),
        (b"12", "features."),
    ],
)
def test_of_other_json_the_keys_are_named(text: bytes, said: str) -> None:
    with pytest.raises(UserError) as refused:
        read(text)
    assert str(refused.value).startswith("f.geojson is not a GeoJSON file with features")
    assert str(refused.value).endswith(said)


@pytest.mark.parametrize("kind", ["Point", "MultiPolygon", "GeometryCollection"])
@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 22])
def test_a_geometry_that_stands_alone_is_a_feature_without_properties(
    kind: str, block_bytes: int
) -> None:
    """As shapely and PostGIS write them, one or one a line."""
    geometry = {"type": kind, "coordinates": [[[1, 2]]], "geometries": [{"type": "Point"}]}
    text = b"\n".join([json.dumps(geometry).encode()] * 3)
    wanted = {"type": "Feature", "geometry": geometry, "properties": {}}
    assert read(text, block_bytes)[0] == [wanted] * 3


def test_one_endless_feature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_core.nuclei.formats.geojson.feature_stream._FEATURE_BYTES", 1000)
    for text in (b'[{"a": "' + b"x" * 2000, b'{"x": "' + b"x" * 2000):
        with pytest.raises(UserError, match="single object"):
            read(text, 64)
    with pytest.raises(UserError, match=r"f\.geojson"):
        read(b'["' + b"\\" * 3000, 64)


def test_one_feature_of_endless_points_is_refused_unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muse_core.nuclei.formats.geojson.feature_stream._FEATURE_BRACKETS", 100)
    for text in (b'[{"a": [', b'{"x": [', b'{"features": [{"a": 1}], "x": ['):
        with pytest.raises(UserError, match="single object of more than 100 points"):
            read(text + b"[1]," * 200, 64)
    many = [{"a": [[1]] * 20}] * 20
    assert read(json.dumps({"features": many, "x": [[]] * 50}).encode(), 64)[0] == many


def test_letters_of_windows_are_read_and_it_is_said() -> None:
    stream = FeatureStream(io.BytesIO('[{"a": "Épithélium"}]'.encode("cp1252")), "f")
    assert list(stream) == [[{"a": "Épithélium"}]]
    assert stream.recoded
    stream = FeatureStream(io.BytesIO('[{"a": "Épithélium"}]'.encode()), "f")
    assert list(stream) == [[{"a": "Épithélium"}]]
    assert not stream.recoded
