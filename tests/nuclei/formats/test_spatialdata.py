from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import zarr
from hypothesis import HealthCheck, given, settings

from muse_core.errors import UserError
from muse_core.nuclei import (
    ClassScheme,
    NucleusFile,
    empty_table,
    is_nucleus_file,
    nucleus_table,
    read_nuclei_here,
    write_nuclei,
    write_nuclei_parts,
)

from ..strategies import assert_same, regions, scales, schemes, tables

installed = pytest.mark.skipif(
    importlib.util.find_spec("spatialdata") is None,
    reason="spatialdata holds pandas back: tox -e interop",
)
TABLE = nucleus_table([1.5, 2], [3, 4], ["tumor", "stromal"], [0.25, 1], model="m", ids=[7, 3])


@installed
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=tables(), scheme=schemes(), mpp=scales, drawn=regions)
def test_round_trip_loses_nothing(
    tmp_path: Path, table: pd.DataFrame, scheme: ClassScheme, mpp: float | None, drawn: Any
) -> None:
    assert write_nuclei(tmp_path / "n.zarr", NucleusFile(table, scheme, mpp, drawn)) == ()
    back = read_nuclei_here(tmp_path / "n.zarr")
    assert_same(back.table, table)
    assert (back.scheme, back.mpp, back.regions) == (scheme, mpp, drawn)


@installed
def test_spatialdata_reads_what_is_written(tmp_path: Path) -> None:
    import spatialdata
    from spatialdata.transformations import get_transformation

    write_nuclei(tmp_path / "n.zarr", NucleusFile(TABLE, ClassScheme.from_names(["tumor"]), 0.5))
    assert is_nucleus_file(tmp_path / "n.zarr")
    points = spatialdata.read_zarr(tmp_path / "n.zarr").points["nuclei"]
    raw = points.compute()
    assert raw[["x", "y"]].to_numpy().tolist() == [[1.5, 3], [2, 4]]
    assert raw["class_name"].tolist() == ["tumor", "stromal"]
    scale = get_transformation(points, "um").to_affine_matrix(("x", "y"), ("x", "y"))
    assert scale.tolist() == [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]]


@installed
def test_tables_are_written_one_by_one(tmp_path: Path) -> None:
    import spatialdata

    waiting: list[weakref.ref[pd.DataFrame]] = []

    def tables() -> Iterator[pd.DataFrame]:
        for i, name in enumerate(("tumor", "stromal", "tumor")):
            # No reference to tables before the last one is kept.
            assert all(known() is None for known in waiting[:-1])
            ids = [2 * i, 2 * i + 1]
            table = nucleus_table([1, 2], [i, i], [name, name], 1.0, model=f"m{i}", ids=ids)
            waiting.append(weakref.ref(table))
            yield table

    content = NucleusFile(empty_table(), mpp=0.5, unreadable_px=((0, 0, 5, 5),))
    assert write_nuclei_parts(tmp_path / "n.zarr", tables(), content) == ()
    back = read_nuclei_here(tmp_path / "n.zarr")
    assert back.table["id"].tolist() == list(range(6))
    assert back.table["class_name"].tolist() == ["tumor"] * 2 + ["stromal"] * 2 + ["tumor"] * 2
    assert back.unreadable_px == content.unreadable_px
    raw = spatialdata.read_zarr(tmp_path / "n.zarr").points["nuclei"].compute()
    assert raw.index.tolist() == list(range(6))
    assert raw["model"].dtype == "category"
    assert not (tmp_path / "n.zarr" / "parts").exists()


@installed
def test_points_of_others(tmp_path: Path) -> None:
    import spatialdata
    from spatialdata.models import PointsModel

    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0], "cell_type": ["B", "T"]})
    points = PointsModel.parse(frame, coordinates={"x": "x", "y": "y"})
    spatialdata.SpatialData(points={"cells": points}).write(tmp_path / "f.zarr")
    found = read_nuclei_here(tmp_path / "f.zarr")
    assert found.table[["x", "y", "class_name"]].to_numpy().tolist() == [[1, 3, "B"], [2, 4, "T"]]
    assert "pixels" in found.notes[0]
    data = spatialdata.SpatialData(points={"a": points, "b": points})
    data.write(tmp_path / "two.zarr")
    with pytest.raises(UserError, match=r"two\.zarr: It has the points a, b"):
        read_nuclei_here(tmp_path / "two.zarr")


@installed
def test_outlines_of_a_store_without_points_are_named_and_can_be_read(tmp_path: Path) -> None:
    import spatialdata
    from shapely import box
    from spatialdata.models import ShapesModel

    geopandas = pytest.importorskip("geopandas")
    spatialdata.SpatialData().write(tmp_path / "e.zarr")
    with pytest.raises(UserError, match=r"^e\.zarr: It has no points\.$"):
        read_nuclei_here(tmp_path / "e.zarr")
    frame = geopandas.GeoDataFrame({"cell_type": ["a"]}, geometry=[box(0, 0, 4, 2)])
    shapes = {"nucleus_boundaries": ShapesModel.parse(frame)}
    spatialdata.SpatialData(shapes=shapes).write(tmp_path / "s.zarr")
    inside = Path("shapes", "nucleus_boundaries", "shapes.parquet")
    with pytest.raises(UserError, match=f"has no points; .* from {re.escape(str(inside))}\\.$"):
        read_nuclei_here(tmp_path / "s.zarr")
    table = read_nuclei_here(tmp_path / "s.zarr" / inside).table
    assert table[["x", "y", "class_name"]].to_numpy().tolist() == [[2, 1, "a"]]


@installed
@pytest.mark.parametrize(("feature", "readable"), [("gene", False), ("cell_type", True)])
def test_molecules_are_no_nuclei(tmp_path: Path, feature: str, readable: bool) -> None:
    import spatialdata
    from spatialdata.models import PointsModel

    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0], feature: ["a", "b"]})
    points = PointsModel.parse(frame, coordinates={"x": "x", "y": "y"}, feature_key=feature)
    spatialdata.SpatialData(points={"transcripts": points}).write(tmp_path / "x.zarr")
    if readable:
        assert read_nuclei_here(tmp_path / "x.zarr").table["class_name"].tolist() == ["a", "b"]
        return
    with pytest.raises(
        UserError, match=r"^x\.zarr: its points transcripts are molecules, .*'gene'"
    ):
        read_nuclei_here(tmp_path / "x.zarr")


@installed
def test_points_of_others_lie_where_their_transformation_puts_them(tmp_path: Path) -> None:
    """As in stores of Xenium, where points are microns and images pixels."""
    import spatialdata
    from spatialdata.models import PointsModel
    from spatialdata.transformations import Affine, Identity, Scale

    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0], "cell_type": ["B", "T"]})

    def read(name: str, known: dict[str, Any]) -> list[list[float]]:
        points = PointsModel.parse(frame, coordinates={"x": "x", "y": "y"}, transformations=known)
        spatialdata.SpatialData(points={"cells": points}).write(tmp_path / name)
        found: list[list[float]] = (
            read_nuclei_here(tmp_path / name).table[["x", "y"]].to_numpy().tolist()
        )
        return found

    scaled = {"um": Identity(), "global": Scale([4.0, 4.0], axes=("x", "y"))}
    assert read("scaled.zarr", scaled) == [[4, 12], [8, 16]]
    turned = Affine(
        [[0, -1, 100], [1, 0, 5], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y")
    )
    assert read("turned.zarr", {"global": turned}) == [[97, 6], [96, 7]]
    assert read("other.zarr", {"um": Scale([4.0, 4.0], axes=("x", "y"))}) == [[1, 3], [2, 4]]
    four = Scale([4.0, 4.0], axes=("x", "y"))
    assert read("sample.zarr", {"slide 7": four, "um": Identity()}) == [[4, 12], [8, 16]]
    small = Scale([0.5, 0.5], axes=("x", "y"))
    visium = {"s": Identity(), "s_downscaled_hires": small, "s_downscaled_lowres": small}
    assert read("visium.zarr", visium) == [[1, 3], [2, 4]]
    assert read("same.zarr", {"a": four, "b": four}) == [[4, 12], [8, 16]]
    for name in ("um", "Microns", "\N{MICRO SIGN}m"):
        with pytest.raises(UserError, match=r"positions are in microns; .* 'global', in pixels"):
            read("microns.zarr", {name: Identity()})
        shutil.rmtree(tmp_path / "microns.zarr")
    with pytest.raises(UserError, match=r"^two\.zarr: It lies in the coordinate systems a, b;"):
        read("two.zarr", {"a": Identity(), "b": four})


@installed
def test_outlines_lie_where_their_store_puts_them(tmp_path: Path) -> None:
    """As in stores of Xenium, whose outlines are microns."""
    import spatialdata
    from shapely import box
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Affine, Identity, Scale, Sequence, Translation

    geopandas = pytest.importorskip("geopandas")
    frame = geopandas.GeoDataFrame({"cell_type": ["a"]}, geometry=[box(0, 0, 4, 2)])
    axes = {"input_axes": ("x", "y"), "output_axes": ("x", "y")}
    four, moved = Scale([4.0, 4.0], axes=("x", "y")), Translation([10.0, 20.0], axes=("x", "y"))
    turned = Affine([[0, -1, 100], [1, 0, 5], [0, 0, 1]], **axes)
    ways = {"id": Identity(), "four": four, "turned": turned, "both": Sequence([four, moved])}
    places = {"id": [2, 1], "four": [8, 4], "turned": [99, 7], "both": [18, 24]}
    for name, way in ways.items():
        shapes = {"nuclei": ShapesModel.parse(frame.copy(), transformations={"global": way})}
        spatialdata.SpatialData(shapes=shapes).write(tmp_path / f"{name}.zarr")
        file = tmp_path / f"{name}.zarr" / "shapes" / "nuclei" / "shapes.parquet"
        assert read_nuclei_here(file).table[["x", "y"]].to_numpy().tolist() == [places[name]]
    metadata = file.with_name("zarr.json")
    metadata.write_text(metadata.read_text().replace('"translation"', '"rotation"'))
    with pytest.raises(UserError, match=r"parquet: Its coordinate systems cannot be understood"):
        read_nuclei_here(file)


@installed
def test_other_folders_are_neither_read_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / "n.zarr").mkdir()
    (tmp_path / "n.zarr" / "precious.txt").write_text("")
    assert not is_nucleus_file(tmp_path / "n.zarr")
    with pytest.raises(UserError, match="not a SpatialData store"):
        read_nuclei_here(tmp_path / "n.zarr")
    with pytest.raises(UserError, match="something else"):
        write_nuclei(tmp_path / "n.zarr", NucleusFile(TABLE))
    assert (tmp_path / "n.zarr" / "precious.txt").exists()


@installed
def test_an_older_store_of_nuclei_is_replaced_unless_something_was_added(tmp_path: Path) -> None:
    import spatialdata
    from spatialdata.models import PointsModel

    path = tmp_path / "n.zarr"
    for _ in range(2):
        write_nuclei(path, NucleusFile(TABLE))
    data = spatialdata.read_zarr(path)
    frame = pd.DataFrame({"x": [1.0], "y": [3.0]})
    data["more"] = PointsModel.parse(frame, coordinates={"x": "x", "y": "y"})
    data.write_element("more")
    with pytest.raises(UserError, match="something else"):
        write_nuclei(path, NucleusFile(TABLE))
    assert set(spatialdata.read_zarr(path).points) == {"nuclei", "more"}


@pytest.mark.parametrize(
    ("attributes", "elements"),
    [
        ({}, ["points/nuclei"]),
        ({"muse": {}}, ["points/nuclei", "images/he"]),
        ({"muse": {}}, ["points/cells"]),
        ({"muse": {}}, []),
    ],
)
def test_stores_with_anything_but_nuclei_are_not_replaced(
    tmp_path: Path, attributes: Any, elements: Any
) -> None:
    path = tmp_path / "s.zarr"
    store = zarr.open_group(path, mode="w")
    store.attrs.update({"spatialdata_attrs": {"version": "0.2"}, **attributes})
    for name in elements:
        store.require_group(name)
    before = sorted(path.rglob("*"))
    with pytest.raises(UserError, match="something else"):
        write_nuclei(path, NucleusFile(TABLE))
    assert sorted(path.rglob("*")) == before


def test_without_spatialdata_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spatialdata", None)
    with pytest.raises(UserError, match=r"napari-muse\[spatialdata\]"):
        write_nuclei(tmp_path / "n.zarr", NucleusFile(TABLE))
    assert list(tmp_path.iterdir()) == []
