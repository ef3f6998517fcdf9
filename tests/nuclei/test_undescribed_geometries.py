"""Outlines in Parquet files that lack GeoParquet's metadata."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from muse_core.nuclei.formats.parquet import read_parquet


@pytest.mark.parametrize("name", ["geometry", "GEOM", "wkb_geometry", "the_geom", "WKB"])
def test_geometries_without_metadata_are_found_by_name(tmp_path: Path, name: str) -> None:
    places = pa.array(shapely.to_wkb(shapely.points([1, 2], [3, 4])))
    table = pa.table({"thumbnail": pa.array([b"png", b"png"]), name: places})
    pq.write_table(table, tmp_path / "o.parquet")
    assert read_parquet(tmp_path / "o.parquet").table["y"].tolist() == [3, 4]


@pytest.mark.parametrize("encoding", ["wkb", "point"])
def test_geometries_without_metadata_are_found_by_their_type(tmp_path: Path, encoding: str) -> None:
    wkb = pa.array(shapely.to_wkb(shapely.points([1, 2], [3, 4])))
    native = pa.StructArray.from_arrays([pa.array([1.0, 2]), pa.array([3.0, 4])], ["x", "y"])
    places = wkb if encoding == "wkb" else native
    marks = {"ARROW:extension:name": f"geoarrow.{encoding}"}
    schema = pa.schema([pa.field("cells", places.type, metadata=marks)])
    pq.write_table(pa.table([places], schema=schema), tmp_path / "o.parquet")
    assert read_parquet(tmp_path / "o.parquet").table["y"].tolist() == [3, 4]
