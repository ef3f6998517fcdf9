from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import (
    NamedRegion,
    NucleusFile,
    nucleus_table,
    read_nuclei_here,
    write_nuclei,
    write_nuclei_parts,
)

from .h5ad_files import SCHEME, TABLE, array

h5py = pytest.importorskip("h5py")

FEATURES = np.arange(6, dtype=np.float16).reshape(3, 2)


def write_foreign(path: Path, n: int = 2, version: str = "0.1.0") -> None:
    """A minimal AnnData file, made without this project's writer."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": version})
        xyz = np.arange(3.0 * n).reshape(n, 3) * [1, 1, 0]
        file.create_dataset("obsm/spatial", data=xyz)
        obs = file.create_group("obs")
        obs.attrs["encoding-type"] = "dataframe"
        obs.attrs["column-order"] = ["area", "cell_type"]
        obs["area"] = np.ones(n)
        obs["area"].attrs["encoding-type"] = "array"
        kind = obs.create_group("cell_type")
        kind.attrs["encoding-type"] = "categorical"
        kind["codes"] = np.array([1, -1] * (n // 2), np.int8)
        kind["categories"] = ["B", "T"]
        kind["categories"].attrs["encoding-type"] = "string-array"
        for item in (obs["area"], kind["codes"]):
            item.attrs["encoding-type"] = "array"


def test_the_layout_by_its_specification(tmp_path: Path) -> None:
    path = tmp_path / "n.h5ad"
    write_nuclei(path, NucleusFile(TABLE, SCHEME, 0.5, ()), features=FEATURES)
    with h5py.File(path) as file:
        assert file.attrs["encoding-type"] == "anndata"
        assert file["X"].shape == (3, 2)
        assert file["obsm/spatial"][:].tolist() == [[1.5, 4], [2, 5], [3, 6]]
        assert file["obs/_index"].asstr()[:].tolist() == ["7", "-3", "9"]
        assert file["obs/class_name/categories"].asstr()[:].tolist() == ["immune", "tumor"]
        assert file["obs/class_name/codes"][:].tolist() == [1, 0, 1]
        assert file["uns/spatial_unit"].asstr()[()] == "px"
        assert file["uns/mpp"][()] == 0.5


def test_anndata_reads_what_is_written_and_writes_what_is_read(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata", reason="anndata holds pandas back: tox -e interop")
    path = tmp_path / "n.h5ad"
    region = NamedRegion(((0, 0), (1, 0), (1, 1)))
    write_nuclei(path, NucleusFile(TABLE, SCHEME, 0.5, (region,)), features=FEATURES)
    data = anndata.read_h5ad(path)
    assert data.shape == (3, 2)
    assert data.X.tolist() == FEATURES.tolist()
    assert data.obsm["spatial"].tolist() == TABLE[["x", "y"]].to_numpy().tolist()
    assert data.obs_names.tolist() == ["7", "-3", "9"]
    for column in ("id", "class_name", "score", "status", "model"):
        assert data.obs[column].tolist() == TABLE[column].tolist()
    assert data.uns["mpp"] == 0.5
    assert data.uns["spatial_unit"] == "px"
    assert data.uns["class_name_colors"].tolist() == [SCHEME.color("immune"), SCHEME.color("tumor")]
    data[::2].write_h5ad(tmp_path / "half.h5ad")
    half = read_nuclei_here(tmp_path / "half.h5ad")
    assert half.table["id"].tolist() == [7, 9]
    assert half.table["class_name"].tolist() == ["tumor", "tumor"]
    assert (half.scheme, half.mpp, half.regions) == (SCHEME, 0.5, (region,))


@pytest.mark.parametrize("n", [0, 3])
def test_anndata_reads_a_file_without_features(tmp_path: Path, n: int) -> None:
    anndata = pytest.importorskip("anndata", reason="anndata holds pandas back: tox -e interop")
    write_nuclei(tmp_path / "n.h5ad", NucleusFile(TABLE[:n]))
    data = anndata.read_h5ad(tmp_path / "n.h5ad")
    assert data.shape == (n, 0)
    assert data.X is None


def test_many_nuclei_are_chunked(tmp_path: Path) -> None:
    n = 20_000
    table = nucleus_table(np.arange(n), np.arange(n), "tumor")
    write_nuclei(tmp_path / "n.h5ad", NucleusFile(table), features=np.ones((n, 4)))
    assert read_nuclei_here(tmp_path / "n.h5ad").table.equals(table)
    assert (tmp_path / "n.h5ad").stat().st_size < 1 << 20


def test_files_of_others(tmp_path: Path) -> None:
    write_foreign(tmp_path / "f.h5ad")
    found = read_nuclei_here(tmp_path / "f.h5ad")
    assert found.table[["x", "y", "class_name"]].to_numpy().tolist() == [
        [0, 1, "T"],
        [3, 4, "unclassified"],
    ]
    assert (found.scheme, found.mpp) == (None, None)
    assert "pixels" in found.notes[0]
    assert "1 nucleus without a class" in found.notes[1]


@pytest.mark.parametrize(
    ("unit", "readable"), [("px", True), ("Pixels", True), ("um", False), ("µm", False)]
)
def test_positions_in_another_unit_are_refused(tmp_path: Path, unit: str, readable: bool) -> None:
    path = tmp_path / "u.h5ad"
    write_foreign(path)
    with h5py.File(path, "a") as file:
        file["uns/spatial_unit"] = unit
    if readable:
        assert len(read_nuclei_here(path).table) == 2
        return
    with pytest.raises(UserError, match=f"^u.h5ad: its positions are in '{unit}'.*pixels can be"):
        read_nuclei_here(path)


@pytest.mark.parametrize(
    ("beside", "columns", "said"),
    [
        ("spatial_fov", ("fov",), 'counts from each field of view, .* obsm."spatial_fov".'),
        ("global", ("fov", "CenterX_local_px"), "counts from each field of view"),
        ("", ("transcript_counts", "cell_area", "nucleus_area"), "Xenium, .* are in microns"),
        ("", ("fov", "volume", "min_x", "max_x", "min_y"), "MERSCOPE, .* are in microns"),
    ],
)
def test_positions_of_instruments_that_are_no_pixels_are_refused(
    tmp_path: Path, beside: str, columns: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "i.h5ad"
    write_foreign(path)
    with h5py.File(path, "a") as file:
        order = [*file["obs"].attrs["column-order"], *columns]
        file["obs"].attrs["column-order"] = order
        for name in columns:
            array(file["obs"], name, [1.0, 2.0])
        if beside:
            array(file["obsm"], beside, [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(UserError, match=f'^i.h5ad: its .*{said}.*"px" into uns'):
        read_nuclei_here(path)
    with h5py.File(path, "a") as file:
        file["uns/spatial_unit"] = "px"
    assert len(read_nuclei_here(path).table) == 2


def test_files_without_positions_or_with_too_many_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.h5ad"
    with h5py.File(path, "w") as file:
        file.create_group("obs")
    with pytest.raises(UserError, match=r"f\.h5ad is not an AnnData file with positions"):
        read_nuclei_here(path)
    write_foreign(path)
    with h5py.File(path, "a") as file:
        del file["obsm/spatial"]
        file.create_dataset("obsm/spatial", shape=(10**12, 2), chunks=(1024, 2), dtype="f8")
    with pytest.raises(UserError, match="more than 20,000,000"):
        read_nuclei_here(path)


def test_columns_and_notes_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    huge = {"shape": (10**12,), "chunks": (1024,), "dtype": h5py.string_dtype()}
    write_foreign(tmp_path / "f.h5ad")
    with h5py.File(tmp_path / "f.h5ad", "a") as file:
        del file["obs/cell_type/categories"]
        file.create_dataset("obs/cell_type/categories", **huge)
    with pytest.raises(UserError, match="more than 20,000,000"):
        read_nuclei_here(tmp_path / "f.h5ad")
    write_nuclei(tmp_path / "n.h5ad", NucleusFile(TABLE))
    with h5py.File(tmp_path / "n.h5ad", "a") as file:
        del file["uns/muse"]
        file.create_dataset("uns/muse", **huge)
    with pytest.raises(UserError, match="damaged"):
        read_nuclei_here(tmp_path / "n.h5ad")


def test_values_that_take_no_room_in_the_file_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, (name, dtype) in enumerate(
        [
            ("obsm/spatial", "V600"),
            ("obs/cell_type/codes", "V600"),
            ("obs/cell_type/categories", "S1200"),
        ]
    ):
        path = tmp_path / f"{i}.h5ad"
        write_foreign(path, 4)
        with h5py.File(path, "a") as file:
            shape, marks = file[name].shape, dict(file[name].attrs)
            del file[name]
            file.create_dataset(name, shape=shape, dtype=dtype).attrs.update(marks)
        monkeypatch.setattr("muse_core.nuclei.formats.h5ad_read._MAX_BYTES", 2000)
        with pytest.raises(UserError, match=r"\d\.h5ad: .*fill the memory"):
            read_nuclei_here(path)


def test_codes_of_two_dimensions_and_a_full_memory_get_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_foreign(tmp_path / "f.h5ad", 4)
    with h5py.File(tmp_path / "f.h5ad", "a") as file:
        del file["obs/cell_type/codes"]
        file["obs/cell_type/codes"] = np.zeros((4, 3), np.int8)
    with pytest.raises(UserError, match=r"f\.h5ad: Its column obs\['cell_type'\] is damaged"):
        read_nuclei_here(tmp_path / "f.h5ad")

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("muse_core.nuclei.formats.h5ad_read._column", full)
    with pytest.raises(UserError, match=r"f\.h5ad is not an AnnData file"):
        read_nuclei_here(tmp_path / "f.h5ad")


def test_a_column_that_numbers_the_nuclei_is_refused(tmp_path: Path) -> None:
    write_foreign(tmp_path / "f.h5ad", 258)
    with h5py.File(tmp_path / "f.h5ad", "a") as file:
        obs = file["obs"]
        obs.attrs["column-order"] = ["label"]
        obs["label"] = np.arange(258)
        obs["label"].attrs["encoding-type"] = "array"
    with pytest.raises(UserError, match="The column 'label' names more than 256 classes"):
        read_nuclei_here(tmp_path / "f.h5ad")


def test_columns_of_another_length_are_refused(tmp_path: Path) -> None:
    write_foreign(tmp_path / "f.h5ad", 4)
    with h5py.File(tmp_path / "f.h5ad", "a") as file:
        del file["obsm/spatial"]
        file["obsm/spatial"] = np.ones((3, 2))
    with pytest.raises(UserError, match=r"obs\['cell_type'\] is damaged"):
        read_nuclei_here(tmp_path / "f.h5ad")


def test_a_file_of_ours_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    write_nuclei(tmp_path / "n.h5ad", NucleusFile(TABLE))
    with h5py.File(tmp_path / "n.h5ad", "a") as file:
        del file["obs/status"]
    with pytest.raises(UserError, match=r"n\.h5ad: It lacks the column\(s\) status"):
        read_nuclei_here(tmp_path / "n.h5ad")


def test_features_must_fit(tmp_path: Path) -> None:
    for features in (FEATURES[:2], FEATURES[0]):
        with pytest.raises(UserError, match="3 nuclei need as many rows"):
            write_nuclei(tmp_path / "n.h5ad", NucleusFile(TABLE), features=features)
    with pytest.raises(UserError, match="cannot be written as AnnData"):
        write_nuclei(tmp_path / "n.h5ad", NucleusFile(TABLE), features=np.full((3, 2), "a"))
    assert list(tmp_path.iterdir()) == []


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"napari-muse\[anndata\]"):
        read_nuclei_here(tmp_path / "n.h5ad")
    with pytest.raises(UserError, match=r"napari-muse\[anndata\]"):
        write_nuclei(tmp_path / "n.h5ad", NucleusFile(TABLE))


def test_a_missing_folder_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^Cannot write \S*n\.h5ad: there is no folder \S*missing\.$"
    ):
        write_nuclei(tmp_path / "missing" / "n.h5ad", NucleusFile(TABLE))


def parts_of(n: int) -> Iterator[pd.DataFrame]:
    rng = np.random.default_rng(n)
    # Classes first occur late, and not in alphabetical order; parts end within chunks.
    for i, names in enumerate((["tumor"], ["tumor", "stroma"], [], ["immune", "tumor"])):
        count = n * bool(names)
        table = nucleus_table(
            rng.uniform(0, 9000, count),
            rng.uniform(0, 9000, count),
            [names[k % len(names)] for k in range(count)],
            rng.random(count),
            model=f"model {3 - i}",
        )
        yield table.assign(id=table["id"] + i * n)


@pytest.mark.parametrize("n", [0, 5, 7_001])
def test_parts_are_written_as_all_at_once(tmp_path: Path, n: int) -> None:
    whole = pd.concat(list(parts_of(n)), ignore_index=True)
    content = NucleusFile(
        whole[:0], SCHEME, 0.5, (), (), origin_px=(3, 4), unreadable_px=((0, 0, 9, 9),)
    )
    assert write_nuclei_parts(tmp_path / "parts.h5ad", parts_of(n), content) == ()
    found = read_nuclei_here(tmp_path / "parts.h5ad")
    assert np.array_equal(found.table.to_numpy(), whole.to_numpy())
    assert (found.scheme, found.mpp, found.origin_px) == (SCHEME, 0.5, (3, 4))
    assert found.unreadable_px == content.unreadable_px
    write_nuclei(tmp_path / "whole.h5ad", NucleusFile(whole, SCHEME, 0.5))
    assert found.table.equals(read_nuclei_here(tmp_path / "whole.h5ad").table)
    with h5py.File(tmp_path / "parts.h5ad") as a, h5py.File(tmp_path / "whole.h5ad") as b:
        names: list[str] = []
        b.visit(names.append)
        for name in names:
            if isinstance(b[name], h5py.Dataset) and name != "uns/muse":
                assert np.array_equal(a[name][()], b[name][()]), name
            assert a[name].attrs["encoding-type"] == b[name].attrs["encoding-type"]
        categories = a["obs/class_name/categories"].asstr()[:].tolist()
    assert categories == sorted(set(whole["class_name"]))


def test_parts_are_not_held_in_memory(tmp_path: Path) -> None:
    alive: list[weakref.ref[pd.DataFrame]] = []
    most = 0

    def told() -> Iterator[pd.DataFrame]:
        nonlocal most
        for i in range(12):
            table = nucleus_table(np.arange(50.0), np.full(50, i), "tumor")
            table = table.assign(id=table["id"] + 50 * i)
            alive.append(weakref.ref(table))
            yield table
            del table
            gc.collect()
            most = max(most, sum(ref() is not None for ref in alive))

    write_nuclei_parts(tmp_path / "n.h5ad", told(), NucleusFile(TABLE[:0], mpp=0.5))
    assert most <= 2
    assert len(read_nuclei_here(tmp_path / "n.h5ad").table) == 600


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_a_file_is_read_without_a_lock(tmp_path: Path) -> None:
    """Network drives may have none; a lock of another program shows that none is asked for."""
    import fcntl

    write_foreign(tmp_path / "n.h5ad")
    with (tmp_path / "n.h5ad").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert len(read_nuclei_here(tmp_path / "n.h5ad").table) == 2
