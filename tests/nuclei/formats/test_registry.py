from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from muse_core.errors import UserError
from muse_core.isolation import CancelledError
from muse_core.nuclei import (
    NUCLEUS_SUFFIXES,
    ClassScheme,
    NamedRegion,
    NucleusFile,
    dialog_filter,
    empty_table,
    is_nucleus_file,
    nucleus_table,
    read_nuclei,
    read_nuclei_here,
    write_nuclei,
)
from muse_core.nuclei.formats.transfer import from_bytes, to_bytes
from muse_core.nuclei.recorded_slide import RecordedSlide

from ..strategies import assert_same, regions, scales, schemes, tables

LOSSLESS = ["n.geojson", "n.json.gz", "n.parquet", "n.h5ad"]
FULL = ClassScheme.from_names(["tumor", "stromal"])
SQUARE = NamedRegion(((0.0, 0.0), (9.0, 0.0), (9.0, 9.5), (0.0, 9.0)), "left, top", True)


@pytest.mark.parametrize("name", LOSSLESS)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=tables(), scheme=schemes(), mpp=scales, drawn=regions)
def test_round_trip_loses_nothing(
    tmp_path: Path,
    name: str,
    table: pd.DataFrame,
    scheme: ClassScheme,
    mpp: float | None,
    drawn: Any,
) -> None:
    assert write_nuclei(tmp_path / name, NucleusFile(table, scheme, mpp, drawn)) == ()
    back = read_nuclei_here(tmp_path / name)
    assert_same(back.table, table)
    assert (back.scheme, back.mpp, back.regions) == (scheme, mpp, drawn)


@pytest.mark.parametrize("name", ["n.csv", "n.geojson", "n.parquet"])
def test_a_table_and_what_is_known_of_it_are_written_as_its_file_is(
    tmp_path: Path, name: str
) -> None:
    scheme = ClassScheme.from_names(["tumor"])
    table = nucleus_table([1.0, 2.5], [3.0, 4.0], "tumor")
    drawn = (SQUARE,)
    notes = write_nuclei(tmp_path / name, table, scheme, 0.5, drawn)
    written = (tmp_path / name).read_bytes()
    assert write_nuclei(tmp_path / name, NucleusFile(table, scheme, 0.5, drawn)) == notes
    assert (tmp_path / name).read_bytes() == written
    assert read_nuclei(tmp_path / name).mpp == 0.5
    with pytest.raises(UserError, match="itself"):
        write_nuclei(tmp_path / name, NucleusFile(table, scheme, 0.5), mpp=0.25)


@pytest.mark.parametrize("name", [*LOSSLESS, "n.csv", "n.tsv.gz"])
def test_files_say_which_slide_they_are_of(tmp_path: Path, name: str) -> None:
    slide = RecordedSlide("Schnitt, 5.svs", "sha256:0123456789abcdef#image=2")
    table = nucleus_table([1, 70000], [2, 30.5], ["a", "b"])
    write_nuclei(tmp_path / name, NucleusFile(table, FULL, 0.25, slide=slide))
    back = read_nuclei_here(tmp_path / name)
    assert back.slide == slide
    assert from_bytes(to_bytes(back)).slide == slide
    assert_same(back.table, table)
    write_nuclei(tmp_path / name, NucleusFile(table, FULL, 0.25))
    assert read_nuclei_here(tmp_path / name).slide is None


@pytest.mark.parametrize("name", ["n.csv", "n.geojson", "n.parquet", "n.h5ad"])
@pytest.mark.parametrize("empty", ["", "  "])
def test_a_nucleus_without_a_class_is_unclassified(tmp_path: Path, name: str, empty: str) -> None:
    """Class cells as left by spreadsheets, pandas and QuPath; the same in every format."""
    path = tmp_path / name
    table = nucleus_table([1, 2, 3], [4, 5, 6], ["a", "gone", "gone"])
    write_nuclei(path, NucleusFile(table, mpp=0.5))
    _empty_the_class(path, empty)
    back = read_nuclei_here(path)
    assert back.table["class_name"].tolist() == ["a", "unclassified", "unclassified"]
    assert "2 nuclei without a class are now 'unclassified'." in back.notes


def _empty_the_class(path: Path, empty: str) -> None:
    """Replace the class "gone" by another name."""
    if path.suffix in (".csv", ".geojson"):
        path.write_text(path.read_text().replace("gone", empty))
    elif path.suffix == ".parquet":
        table = pq.read_table(path)
        names = pa.array([n if n == "a" else empty for n in table["class"].to_pylist()])
        pq.write_table(
            table.set_column(table.schema.get_field_index("class"), "class", names), path
        )
    else:
        with h5py.File(path, "r+") as file:
            categories = file["obs/class_name/categories"]
            categories[:] = [n if n == "a" else empty for n in categories.asstr()[:]]


def test_tables_of_several_slides_are_refused(tmp_path: Path) -> None:
    table = nucleus_table([1], [2], "a")
    for i in range(2):
        slide = RecordedSlide(f"{i}.svs", f"sha256:{i}")
        write_nuclei(tmp_path / f"{i}.csv", NucleusFile(table, mpp=0.5, slide=slide))
    parts = [pd.read_csv(tmp_path / f"{i}.csv") for i in range(2)]
    pd.concat(parts).assign(id=[0, 1]).to_csv(tmp_path / "n.csv", index=False)
    with pytest.raises(UserError, match=r"nuclei of several slides \(0\.svs, 1\.svs\)"):
        read_nuclei(tmp_path / "n.csv")
    for content in ("", "1.2E+15", "sha256:0\nx"):
        parts[0].assign(slide_content=content).to_csv(tmp_path / "n.csv", index=False)
        assert read_nuclei(tmp_path / "n.csv").slide is None
    parts[0].drop(columns="slide_content").to_csv(tmp_path / "n.csv", index=False)
    assert read_nuclei(tmp_path / "n.csv").slide is None


@pytest.mark.parametrize("name", LOSSLESS)
def test_without_classes_and_scale(tmp_path: Path, name: Any) -> None:
    write_nuclei(tmp_path / name, NucleusFile(nucleus_table([1], [2], "tumor")))
    back = read_nuclei(tmp_path / name)
    assert (back.scheme, back.mpp, back.regions) == (None, None, ())
    write_nuclei(tmp_path / name, NucleusFile(empty_table()))
    assert len(read_nuclei(tmp_path / name).table) == 0


def test_csv_says_what_it_cannot_hold(tmp_path: Path) -> None:
    table = nucleus_table([1, 70000], [2, 30.5], ["a", "b"])
    content = NucleusFile(table, FULL, 0.2526, (SQUARE,))
    notes = write_nuclei(tmp_path / "n.CSV", content, features=np.ones((2, 3)))
    assert len(notes) == 3
    assert all(word in " ".join(notes) for word in ("features", "regions", "colours"))
    back = read_nuclei(tmp_path / "n.CSV")
    assert_same(back.table, table)
    assert back.mpp == 0.2526
    with pytest.raises(UserError, match="microns per pixel"):
        write_nuclei(tmp_path / "n.csv", NucleusFile(table))


@pytest.mark.parametrize("name", [*LOSSLESS, "n.csv", "n.zarr"])
def test_a_missing_file_is_named(tmp_path: Path, name: Any) -> None:
    with pytest.raises(UserError, match=rf"no (file|folder) .*{name}|needs its package|need h5py"):
        read_nuclei(tmp_path / name)


@pytest.mark.parametrize("name", LOSSLESS)
def test_noise_and_cut_files_are_refused_in_a_sentence(tmp_path: Path, name: Any) -> None:
    path = tmp_path / name
    table = nucleus_table(np.arange(500.0), np.arange(500.0), "tumor")
    write_nuclei(path, NucleusFile(table, FULL, 0.5))
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for content in (b"", whole[: len(whole) // 2], whole[:-20], rng.bytes(3000), b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            read_nuclei_here(path)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*LOSSLESS, "n.csv"])
def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, name: Any) -> None:
    path = tmp_path / name
    table = nucleus_table([1], [2], "tumor")
    write_nuclei(path, NucleusFile(table, mpp=0.5))
    before = path.read_bytes()
    for wrong in (
        {"mpp": -1.0},
        {"table": table.drop(columns="x")},
    ):
        with pytest.raises(UserError):
            write_nuclei(path, NucleusFile(**{"table": table, "mpp": 0.5, **wrong}))
    with pytest.raises(UserError, match="Cannot write"):
        write_nuclei(tmp_path / "no" / name, NucleusFile(table, mpp=0.5))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_unknown_ends_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "n.xlsx", tmp_path / "csv", tmp_path / "n.gz"):
        with pytest.raises(UserError, match="no format known"):
            read_nuclei(path)
        with pytest.raises(UserError, match="no format known"):
            write_nuclei(path, NucleusFile(empty_table()))


def test_names_of_nucleus_files(tmp_path: Path) -> None:
    assert all(is_nucleus_file(f"a{s}") for s in NUCLEUS_SUFFIXES if s != ".zarr")
    assert is_nucleus_file("A.B.GeoJSON")
    (tmp_path / "slide.zarr").mkdir()
    assert not is_nucleus_file(tmp_path / "slide.zarr")
    assert not is_nucleus_file("slide.svs")
    filters = dialog_filter().split(";;")
    assert filters[0] == "CSV (*.csv *.tsv *.csv.gz *.tsv.gz)"
    assert "GeoJSON for QuPath (*.geojson *.json *.geojson.gz *.json.gz *.zip)" in filters


def test_the_package_imports_none_of_the_libraries_of_formats() -> None:
    code = (
        "import sys, muse_core.nuclei; "
        "print({'torch', 'shapely', 'pyarrow.parquet', 'h5py', 'spatialdata'} & set(sys.modules))"
    )
    root = Path(__file__).parents[3] / "src"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["n.parquet", "n.h5ad", "n.geojson.gz", "n.geojson"])
def test_what_another_process_reads_is_the_same(tmp_path: Path, name: str) -> None:
    n = 12_000
    rng = np.random.default_rng(3)
    table = nucleus_table(
        rng.uniform(0, 9e4, n),
        rng.uniform(0, 9e4, n),
        rng.choice(["tumor", "stromal", "plasma µ"], n).astype(object),
        score=rng.uniform(0, 1, n),
        status=rng.choice(["predicted", "deleted"], n).astype(object),
        ids=rng.permutation(n) + 2**53,
    )
    path = tmp_path / name
    write_nuclei(path, NucleusFile(table, FULL, 0.25, (SQUARE,)))
    here, there = read_nuclei_here(path), read_nuclei(path)
    pd.testing.assert_frame_equal(there.table, here.table)
    assert_same(there.table, table)
    assert (there.scheme, there.mpp, there.regions) == (FULL, 0.25, (SQUARE,))
    assert there.notes == here.notes


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are text")
@pytest.mark.parametrize("name", [*LOSSLESS, "n.csv"])
def test_a_folder_whose_name_is_no_text(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "f\udcff"
    folder.mkdir()
    table = nucleus_table([1.0], [2.0], ["tumor"])
    write_nuclei(folder / name, NucleusFile(table, FULL, 0.25))
    assert_same(read_nuclei(folder / name).table, table)


def test_any_content_crosses_between_processes() -> None:
    for content in (
        NucleusFile(empty_table()),
        NucleusFile(nucleus_table([1], [2], "a\nb"), ClassScheme(()), None, (), ("One.", "Twö.")),
        NucleusFile(nucleus_table([1], [2], "a"), FULL, 0.25, (SQUARE,), (), (2560.5, 7680.0)),
    ):
        back = from_bytes(to_bytes(content))
        pd.testing.assert_frame_equal(back.table, content.table)
        assert replace(back, table=None) == replace(content, table=None)


def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    write_nuclei(tmp_path / "n.parquet", NucleusFile(nucleus_table([1], [2], "a")))
    with pytest.raises(CancelledError, match=r"Reading n\.parquet was cancelled"):
        read_nuclei(tmp_path / "n.parquet", should_cancel=lambda: True)


def test_a_refusal_of_another_process_is_the_readers(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "n.parquet")
    with pytest.raises(UserError, match=r"^n\.parquet holds no nuclei: it needs the columns x_px"):
        read_nuclei(tmp_path / "n.parquet")


@pytest.mark.parametrize("ending", [".geojson", ".parquet"])
def test_null_characters_in_a_class_are_left_out_and_every_format_takes_it(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"n{ending}"
    if ending == ".parquet":
        pd.DataFrame({"x_px": [1.0], "y_px": [2.0], "class": ["tumor\0\0"]}).to_parquet(path)
    else:
        point = {"type": "Point", "coordinates": [1, 2]}
        properties = {"classification": {"name": "tumor\0\0"}}
        feature = {"type": "Feature", "geometry": point, "properties": properties}
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    content = replace(read_nuclei(path), mpp=0.5)
    assert list(content.table["class_name"]) == ["tumor"]
    for other in (".csv", ".h5ad", ".geojson", ".parquet"):
        write_nuclei(tmp_path / f"again{other}", content)
        assert list(read_nuclei(tmp_path / f"again{other}").table["class_name"]) == ["tumor"]


@pytest.mark.parametrize("ending", [".csv", ".geojson", ".parquet"])
def test_spaces_around_a_class_make_no_class_of_their_own(tmp_path: Path, ending: str) -> None:
    path, names = tmp_path / f"n{ending}", ["tumor", "tumor ", "\u00a0tumor", " a b "]
    if ending == ".csv":
        frame = pd.DataFrame({"x_px": range(4), "y_px": 2.0, "class": names})
        frame.to_csv(path, index=False)
    elif ending == ".parquet":
        pd.DataFrame({"x_px": range(4), "y_px": 2.0, "class": names}).to_parquet(path)
    else:
        points = [{"type": "Point", "coordinates": [x, 2]} for x in range(4)]
        features = [
            {"type": "Feature", "geometry": point, "properties": {"classification": {"name": n}}}
            for point, n in zip(points, names, strict=True)
        ]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    read = read_nuclei(path)
    assert list(read.table["class_name"]) == ["tumor", "tumor", "tumor", "a b"]


@pytest.mark.parametrize(
    ("stated", "read"), [([0.25, None], [0.25, 1]), ([0.25, 7.0], [0.25, 1]), ([50, 60], [1, 1])]
)
def test_classes_and_scores_of_other_programs_in_parquet(
    tmp_path: Path, stated: Any, read: Any
) -> None:
    path = tmp_path / "n.parquet"
    columns = {"x_px": [1, 2], "y_px": [3, 4], "Cell_type": ["a", "b"], "confidence": stated}
    pd.DataFrame(columns).to_parquet(path)
    found = read_nuclei(path)
    assert found.table["class_name"].tolist() == ["a", "b"]
    assert found.table["score"].tolist() == read
