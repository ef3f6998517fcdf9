from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from muse_core.classify.feature_file import write_features
from muse_core.nuclei import (
    ClassScheme,
    NamedRegion,
    NucleusFile,
    empty_table,
    nucleus_table,
    read_nuclei,
    write_nuclei,
)

from .running import run

TABLE = nucleus_table(
    [1, 2, 3], [4, 5, 6], ["a", "b", "a"], status=["predicted", "deleted", "added"], ids=[5, 3, 9]
)
SQUARE = NamedRegion(((0, 0), (9, 0), (9, 9), (0, 9)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "n.geojson"
    write_nuclei(path, NucleusFile(TABLE, ClassScheme.from_names(["a", "b"]), 0.5, (SQUARE,)))
    return path


def test_from_format_to_format(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = source.with_suffix(".parquet")
    assert run("convert", source, out, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "nuclei": 3,
        "regions": 1,
        "mpp": 0.5,
        "out": str(out),
    }
    found = read_nuclei(out)
    assert found.table.equals(TABLE)
    assert (found.scheme, found.regions) == (ClassScheme.from_names(["a", "b"]), (SQUARE,))


def test_what_is_left_out_is_said(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = source.with_suffix(".csv")
    assert run("convert", source, out, "--mpp", 0.25) == 0
    assert "states 0.5 um/px, so the given 0.25 was not used" in capsys.readouterr().err
    assert read_nuclei(out).mpp == 0.5
    assert run("convert", source, out, "--mpp", 0.25, "--force-mpp", "--without-deleted") == 0
    captured = capsys.readouterr()
    assert captured.out == f"2 nuclei written to {out}.\n"
    assert "regions" in captured.err
    found = read_nuclei(out)
    assert found.mpp == 0.25
    assert found.table["id"].tolist() == [5, 9]


def test_places_that_could_not_be_read_stay_noted(tmp_path: Path) -> None:
    source, out = tmp_path / "n.geojson", tmp_path / "n.parquet"
    content = NucleusFile(TABLE, unreadable_px=((0.0, 0.0, 9.0, 9.0),))
    write_nuclei(source, content)
    assert run("convert", source, out) == 0
    assert read_nuclei(out).unreadable_px == content.unreadable_px


def test_outlines_as_nuclei(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "r.geojson", tmp_path / "o.parquet"
    write_nuclei(source, NucleusFile(empty_table(), regions=(SQUARE,)))
    assert run("convert", source, out) == 0
    assert "1 outline is an annotation and was read as a region" in capsys.readouterr().err
    assert run("convert", source, out, "--outlines-are-nuclei") == 0
    assert read_nuclei(out).table[["x", "y"]].to_numpy().tolist() == [[4.5, 4.5]]


def test_features_go_into_anndata_by_id(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    h5py = pytest.importorskip("h5py")
    rows = np.arange(3)
    values = np.array([[3], [5], [9]], np.float16)
    write_features(tmp_path / "f.zarr", TABLE.iloc[[1, 0, 2]], 1, [(rows, values)], {})
    out = tmp_path / "n.h5ad"
    assert run("convert", source, out, "--features", tmp_path / "f.zarr") == 0
    with h5py.File(out) as file:
        assert file["X"][:].tolist() == [[5], [3], [9]]
    write_features(tmp_path / "f.zarr", TABLE[:2], 1, [(rows[:2], values[:2])], {})
    assert run("convert", source, out, "--features", tmp_path / "f.zarr") == 2
    assert "lacks 1 of the nuclei" in capsys.readouterr().err


def test_features_of_another_slide_are_refused(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("h5py")
    features, out = tmp_path / "f.zarr", tmp_path / "n.h5ad"
    write_features(features, TABLE.assign(x=TABLE["x"] + [0, 0.5, 0.005]), 1, [], {})
    assert run("convert", source, out, "--features", features) == 2
    assert "1 of the 3 nuclei lie elsewhere" in capsys.readouterr().err
    assert not out.exists()


def test_features_of_a_stopped_run_come_with_a_note(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("h5py")
    computed = [(np.array([0]), np.ones((1, 1), np.float16))]
    write_features(tmp_path / "f.zarr", TABLE, 1, computed, {})
    options = ("--features", tmp_path / "f.zarr")
    assert run("convert", source, tmp_path / "n.h5ad", *options) == 0
    assert "stopped: 2 of the 3 nuclei" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no.csv", "o.parquet"), "no file"),
        (("n.geojson", "o.xlsx"), "no format known"),
        (("n.geojson", Path()), ". is of no format known"),
        ((Path(), "o.csv"), ". is of no format known"),
        (("n.geojson", "o.parquet", "--mpp", 0), "above 0"),
        (("n.geojson", "no/o.parquet"), "Cannot write"),
        (("n.geojson", "o.h5ad", "--features", "f.zarr"), "no folder"),
    ],
)
def test_what_the_user_can_put_right(
    source: Path,
    arguments: tuple[object, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(source.parent)
    assert run("convert", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")


@pytest.mark.parametrize("link", ["", "symlink_to", "hardlink_to"])
def test_a_file_is_never_converted_onto_itself(
    tmp_path: Path, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not read of it, such as further columns, would be lost."""
    source, out = tmp_path / "n.csv", tmp_path / "o.csv"
    source.write_text("x_px,y_px,class,area\n1,2,a,30\n")
    if link:
        getattr(out, link)(source)
    else:
        out = tmp_path / "." / "n.csv"
    assert run("convert", source, out, "--mpp", 0.5) == 2
    assert capsys.readouterr().err == f"error: Cannot write {out}: it is the input itself.\n"
    assert source.read_text().endswith("1,2,a,30\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows names no streams like files")
def test_a_device_or_a_pipe_gets_csv(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("convert", source, "/dev/stdout") == 0
    printed = capfd.readouterr()
    assert printed.out.startswith("id,x_px,y_px")
    assert len(printed.out.splitlines()) == 4
    assert "3 nuclei written" in printed.err
