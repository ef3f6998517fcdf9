"""The place of a SpatialData element on its slide, from metadata as spatialdata 0.7 writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from muse_core.errors import UserError
from muse_core.nuclei.formats.parquet import read_parquet

from .test_parquet import write_outlines


def _element(folder: Path, systems: dict[str, dict[str, Any]], version: int = 3) -> Path:
    folder.mkdir(exist_ok=True)
    axes = {"axes": [{"name": "x"}, {"name": "y"}]}
    steps = [
        {**step, "input": axes, "output": {"name": name, **axes}} for name, step in systems.items()
    ]
    facts: dict[str, Any] = {
        "encoding-type": "ngff:shapes",
        "coordinateTransformations": steps,
        "spatialdata_attrs": {"version": "0.3"},
    }
    if version == 3:
        facts, name = {"attributes": facts, "node_type": "group"}, "zarr.json"
    else:
        name = ".zattrs"
    (folder / name).write_text(json.dumps(facts))
    path = folder / "shapes.parquet"
    write_outlines(path)
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_outlines_in_microns_are_put_where_the_slide_has_them(tmp_path: Path, version: int) -> None:
    scale = {"type": "scale", "scale": [4.0, 8.0]}
    path = _element(tmp_path, {"global": scale, "um": {"type": "identity"}}, version)
    assert read_parquet(path).table[["x", "y"]].to_numpy().tolist()[0] == [8, 8]


@pytest.mark.parametrize(
    ("systems", "why"),
    [
        ({"um": {"type": "identity"}}, "positions are in microns"),
        ({"a": {"type": "identity"}, "b": {"type": "scale", "scale": [2, 2]}}, "systems a, b;"),
        ({"global": {"type": "scale", "scale": "wide"}}, "systems cannot be understood"),
        ({"global": {"type": "inverse"}}, "systems cannot be understood"),
    ],
)
def test_what_is_in_no_pixels_is_refused(
    tmp_path: Path, systems: dict[str, dict[str, Any]], why: str
) -> None:
    with pytest.raises(UserError, match=rf"^shapes\.parquet: .*{why}"):
        read_parquet(_element(tmp_path, systems))


def test_other_metadata_beside_a_file_place_nothing(tmp_path: Path) -> None:
    path = _element(tmp_path, {"um": {"type": "identity"}})
    for other in ("no JSON", "[]", '{"attributes": []}', '{"attributes": {"multiscales": []}}'):
        (tmp_path / "zarr.json").write_text(other)
        assert len(read_parquet(path).table) == 4
