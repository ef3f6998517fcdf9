from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NamedRegion, nucleus_table, read_nuclei_here, write_nuclei

h5py = pytest.importorskip("h5py")

SCHEME = ClassScheme.from_names(["tumor", "stromal", "immune"])
TABLE = nucleus_table(
    [1.5, 2, 3], [4, 5, 6], ["tumor", "immune", "tumor"], [0.25, 1, 0.5], model="m", ids=[7, -3, 9]
)
FEATURES = np.arange(6, dtype=np.float16).reshape(3, 2)


def write_foreign(path: Path, n: int = 2, version: str = "0.1.0") -> None:
    """An AnnData file as little as readers ask for, made without our writer."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": version})
        file.create_dataset("obsm/spatial", data=np.arange(3.0 * n).reshape(n, 3))
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
    write_nuclei(path, TABLE, SCHEME, 0.5, (), FEATURES)
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
    write_nuclei(path, TABLE, SCHEME, 0.5, (region,), FEATURES)
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
    write_nuclei(tmp_path / "n.h5ad", TABLE[:n])
    data = anndata.read_h5ad(tmp_path / "n.h5ad")
    assert data.shape == (n, 0)
    assert data.X is None


def test_many_nuclei_are_chunked(tmp_path: Path) -> None:
    n = 20_000
    table = nucleus_table(np.arange(n), np.arange(n), "tumor")
    write_nuclei(tmp_path / "n.h5ad", table, features=np.ones((n, 4)))
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
    assert "1 nuclei without a class" in found.notes[1]


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
    write_nuclei(tmp_path / "n.h5ad", TABLE)
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
        monkeypatch.setattr("muse_core.nuclei.h5ad_read._MAX_BYTES", 2000)
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

    monkeypatch.setattr("muse_core.nuclei.h5ad_read._column", full)
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
    write_nuclei(tmp_path / "n.h5ad", TABLE)
    with h5py.File(tmp_path / "n.h5ad", "a") as file:
        del file["obs/status"]
    with pytest.raises(UserError, match=r"n\.h5ad: It lacks the column\(s\) status"):
        read_nuclei_here(tmp_path / "n.h5ad")


def test_features_must_fit(tmp_path: Path) -> None:
    for features in (FEATURES[:2], FEATURES[0]):
        with pytest.raises(UserError, match="3 nuclei need as many rows"):
            write_nuclei(tmp_path / "n.h5ad", TABLE, features=features)
    with pytest.raises(UserError, match="cannot be written as AnnData"):
        write_nuclei(tmp_path / "n.h5ad", nucleus_table([1], [2], "a\0b"))
    assert list(tmp_path.iterdir()) == []


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"napari-muse\[anndata\]"):
        read_nuclei_here(tmp_path / "n.h5ad")
    with pytest.raises(UserError, match=r"napari-muse\[anndata\]"):
        write_nuclei(tmp_path / "n.h5ad", TABLE)


def test_a_missing_folder_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^Cannot write \S*n\.h5ad: there is no folder \S*missing\.$"
    ):
        write_nuclei(tmp_path / "missing" / "n.h5ad", TABLE)


TEXT = h5py.string_dtype()


def mark(item: Any, kind: str, version: str = "0.1.0") -> Any:
    item.attrs.update({"encoding-type": kind, "encoding-version": version})
    return item


def strings(group: Any, name: str, values: list[str]) -> Any:
    return mark(group.create_dataset(name, data=values, dtype=TEXT), "string-array", "0.2.0")


def array(group: Any, name: str, values: Any) -> Any:
    return mark(group.create_dataset(name, data=np.asarray(values)), "array", "0.2.0")


def nullable(group: Any, name: str, kind: str, values: Any, mask: list[int]) -> Any:
    item = mark(group.create_group(name), f"nullable-{kind}")
    if kind == "string-array":
        strings(item, "values", values)
    else:
        array(item, "values", values)
    array(item, "mask", np.array(mask, bool))
    return item


def categorical(group: Any, name: str, codes: list[int], write: Any) -> Any:
    item = mark(group.create_group(name), "categorical", "0.2.0")
    item.attrs["ordered"] = False
    array(item, "codes", np.array(codes, np.int8))
    write(item)
    return item


def foreign(path: Path, column: Any, spatial: Any = None) -> None:
    """Five cells as anndata writes them, the class and the positions by functions of a group."""
    with h5py.File(path, "w") as file:
        mark(file, "anndata")
        obs = mark(file.create_group("obs"), "dataframe", "0.2.0")
        obs.attrs.update({"_index": "_index", "column-order": ["odd", "cell_type"]})
        strings(obs, "_index", list("vwxyz"))
        mark(obs.create_group("odd"), "awkward-array")
        column(obs)
        obsm = mark(file.create_group("obsm"), "dict")
        (spatial or (lambda g: array(g, "spatial", np.arange(10.0).reshape(5, 2))))(obsm)


def classes_of(path: Path) -> list[str]:
    result: list[str] = read_nuclei_here(path).table["class_name"].tolist()
    return result


MASK = [0, 0, 1, 0, 0]
AB = ["a", "b", "unclassified", "a", "b"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (lambda g: nullable(g, "cell_type", "string-array", ["a", "b", "", "a", "b"], MASK), AB),
        (lambda g: strings(g, "cell_type", ["a", "b", "", "a", "b"]), AB),
        (lambda g: nullable(g, "cell_type", "integer", [1, 2, 1, 1, 2], MASK), "12?12"),
        (lambda g: nullable(g, "cell_type", "float", [1.0, 2, 1, 1, 2], MASK), "12?12"),
        (lambda g: array(g, "cell_type", [1, 2, np.nan, 1, 2]), "12?12"),
        (lambda g: array(g, "cell_type", [1, 2, 3, 1, 2]), "12312"),
        (
            lambda g: nullable(g, "cell_type", "boolean", np.array([1, 0, 1, 1, 0], bool), MASK),
            ["True", "False", "unclassified", "True", "False"],
        ),
        (
            lambda g: array(g, "cell_type", [True, False, True, True, False]),
            ["True", "False", "True", "True", "False"],
        ),
        (
            lambda g: categorical(
                g, "cell_type", [1, 0, -1, 1, 0], lambda i: strings(i, "categories", ["b", "a"])
            ),
            AB,
        ),
        (
            lambda g: categorical(
                g,
                "cell_type",
                [1, 0, -1, 1, 0],
                lambda i: nullable(i, "categories", "string-array", ["b", "a"], [0, 0]),
            ),
            AB,
        ),
        (
            lambda g: categorical(
                g, "cell_type", [0, 1, -1, 0, 1], lambda i: array(i, "categories", [1, 2])
            ),
            "12?12",
        ),
    ],
)
def test_every_encoding_of_classes(tmp_path: Path, column: Any, expected: Any) -> None:
    foreign(tmp_path / "f.h5ad", column)
    wanted = [name.replace("?", "unclassified") for name in expected]
    assert classes_of(tmp_path / "f.h5ad") == wanted
    notes = read_nuclei_here(tmp_path / "f.h5ad").notes
    assert len(notes) == 1 + ("unclassified" in wanted)


def test_categories_of_anndata_0_7(tmp_path: Path) -> None:
    path = tmp_path / "f.h5ad"
    foreign(path, lambda g: g.create_dataset("cell_type", data=np.array([1, 0, -1, 1, 0], np.int8)))
    with h5py.File(path, "a") as file:
        names = file.create_dataset("obs/__categories/cell_type", data=["b", "a"], dtype=TEXT)
        file["obs/cell_type"].attrs["categories"] = names.ref
    assert classes_of(path) == AB


def _broken_codes(group: Any) -> None:
    categorical(group, "cell_type", [0, 1, 2, 0, 7], lambda i: strings(i, "categories", ["a"]))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            lambda g: mark(g.create_group("cell_type"), "awkward-array"),
            "encoded as 'awkward-array'",
        ),
        (lambda g: mark(g.create_group("cell_type"), "nullable-string-array"), "damaged"),
        (lambda g: g.create_group("cell_type"), "encoded as 'nothing known'"),
        (lambda g: array(g, "cell_type", np.zeros(5, "V8")), "encoded as '|V8'"),
        (lambda g: nullable(g, "cell_type", "integer", [1, 2], [0, 0]), "damaged"),
        (_broken_codes, "damaged"),
    ],
)
def test_an_encoding_that_is_not_known_is_named_and_not_taken_for_none(
    tmp_path: Path, column: Any, message: str
) -> None:
    foreign(tmp_path / "f.h5ad", column)
    with pytest.raises(UserError, match=r"^f\.h5ad: Its column obs\['cell_type'\]") as caught:
        read_nuclei_here(tmp_path / "f.h5ad")
    assert message in str(caught.value)


def frame(group: Any, columns: dict[str, Any], index: Any = strings) -> None:
    item = mark(group.create_group("spatial"), "dataframe", "0.2.0")
    item.attrs.update({"_index": "_index", "column-order": list(columns)})
    index(item, "_index", list("vwxyz"))
    for name, write in columns.items():
        write(item, name)


def _sparse(group: Any, kind: str) -> None:
    matrix = getattr(scipy.sparse, f"{kind}_array")(np.arange(10.0).reshape(5, 2))
    item = mark(group.create_group("spatial"), f"{kind}_matrix")
    item.attrs["shape"] = matrix.shape
    for name in ("data", "indices", "indptr"):
        item[name] = getattr(matrix, name)


def _structured(group: Any) -> None:
    values = np.zeros(5, dtype=[("Y", "f8"), ("X", "i4")])
    values["X"], values["Y"] = [0, 2, 4, 6, 8], [1, 3, 5, 7, 9]
    mark(group.create_dataset("spatial", data=values), "rec-array", "0.2.0")


def evens(group: Any, name: str) -> Any:
    return array(group, name, [0, 2, 4, 6, 8])


def odds(group: Any, name: str) -> Any:
    return array(group, name, [1.0, 3, 5, 7, 9])


def masked_odds(group: Any, name: str) -> Any:
    return nullable(group, name, "integer", [1, 3, 5, 7, 9], [0] * 5)


@pytest.mark.parametrize(
    "spatial",
    [
        lambda g: frame(g, {"x": evens, "y": odds}),
        lambda g: frame(g, {"Y": odds, "area": odds, "X": evens}),
        lambda g: frame(g, {"x": evens, "y": masked_odds}),
        lambda g: frame(g, {"pxl_row_in_fullres": odds, "pxl_col_in_fullres": evens}),
        lambda g: frame(
            g,
            {"x": evens, "y": odds},
            lambda i, name, v: nullable(i, name, "string-array", v, [0] * 5),
        ),
        lambda g: _sparse(g, "csr"),
        lambda g: _sparse(g, "csc"),
        _structured,
        lambda g: array(g, "spatial", np.arange(10).reshape(5, 2)),
        lambda g: array(g, "spatial", np.c_[np.arange(10).reshape(5, 2), np.ones(5)]),
    ],
)
def test_every_encoding_of_positions(tmp_path: Path, spatial: Any) -> None:
    foreign(tmp_path / "f.h5ad", lambda g: strings(g, "cell_type", list("abcde")), spatial)
    table = read_nuclei_here(tmp_path / "f.h5ad").table
    assert table[["x", "y"]].to_numpy().tolist() == np.arange(10.0).reshape(5, 2).tolist()


def _bad_sparse(group: Any) -> None:
    _sparse(group, "csr")
    group["spatial/indices"][0] = 99


@pytest.mark.parametrize(
    ("spatial", "message"),
    [
        (
            lambda g: frame(g, {"row": evens, "col": odds}),
            "the columns row, col; .* cannot be told",
        ),
        (
            lambda g: frame(g, {"x": evens, "y": lambda i, n: strings(i, n, list("abcde"))}),
            "numbers",
        ),
        (lambda g: mark(g.create_group("spatial"), "awkward-array"), "encoded as 'awkward-array'"),
        (_bad_sparse, "damaged"),
        (lambda g: array(g, "spatial", np.ones(5)), "not pairs"),
        (
            lambda g: frame(
                g, {"x": evens, "y": lambda i, n: nullable(i, n, "integer", [1] * 5, MASK)}
            ),
            "coordinate that is not a number",
        ),
    ],
)
def test_positions_that_cannot_be_told_are_refused(
    tmp_path: Path, spatial: Any, message: str
) -> None:
    foreign(tmp_path / "f.h5ad", lambda g: strings(g, "cell_type", list("abcde")), spatial)
    with pytest.raises(UserError, match=rf"^f\.h5ad: .*{message}"):
        read_nuclei_here(tmp_path / "f.h5ad")


def test_our_file_saved_again_with_nullable_columns(tmp_path: Path) -> None:
    path = tmp_path / "n.h5ad"
    write_nuclei(path, TABLE, SCHEME, 0.5)
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        for name, kind in (("class_name", 0), ("status", 0), ("model", 0), ("id", 1)):
            del obs[name]
            values = TABLE[name].tolist()
            nullable(obs, name, "integer" if kind else "string-array", values, [0] * 3)
        del obs["score"]
        array(obs, "score", [0.25, 1.0, np.nan])
    found = read_nuclei_here(path)
    assert found.table.drop(columns="score").equals(TABLE.drop(columns="score"))
    assert found.table["score"].tolist() == [0.25, 1, 1]
    assert (found.scheme, found.mpp, found.notes) == (SCHEME, 0.5, ())
    with h5py.File(path, "a") as file:
        for name in ("class_name", "status", "model"):
            file[f"obs/{name}/mask"][1] = True
    row = read_nuclei_here(path).table.iloc[1]
    assert row[["class_name", "status", "model"]].tolist() == ["unclassified", "predicted", ""]
    assert read_nuclei_here(path).notes == ("1 nuclei without a class are now 'unclassified'.",)
    with h5py.File(path, "a") as file:
        file["obs/id/mask"][0] = True
    with pytest.raises(UserError, match=r"n\.h5ad: The column 'id' has an empty cell"):
        read_nuclei_here(path)


def test_tables_of_anndata_before_0_7_are_named(tmp_path: Path) -> None:
    foreign(tmp_path / "f.h5ad", lambda g: strings(g, "cell_type", list("abcde")))
    with h5py.File(tmp_path / "f.h5ad", "a") as file:
        del file["obs"]
        file["obs"] = np.zeros(5, dtype=[("index", "S1"), ("cell_type", "i1")])
    with pytest.raises(UserError, match=r"obs is not as AnnData writes it since version 0\.7"):
        read_nuclei_here(tmp_path / "f.h5ad")


@pytest.mark.parametrize("kind", ["string", "str", "object", "category", "Int64", "boolean"])
def test_what_anndata_itself_writes(tmp_path: Path, kind: str) -> None:
    anndata = pytest.importorskip("anndata", reason="anndata holds pandas back: tox -e interop")
    anndata.settings.allow_write_nullable_strings = True
    values = {"Int64": [1, 2, None, 1, 2], "boolean": [True, False, None, True, False]}
    with pd.option_context("future.infer_string", True):  # "str" is objects in pandas 2 otherwise
        column = pd.Series(
            values.get(kind, ["a", "b", None, "a", "b"]), dtype=kind, index=list("vwxyz")
        )
    data = anndata.AnnData(np.zeros((5, 1), np.float32), obs=pd.DataFrame({"cell_type": column}))
    data.obsm["spatial"] = pd.DataFrame({"x": np.arange(5.0), "y": np.ones(5)}, index=list("vwxyz"))
    data.strings_to_categoricals = lambda *_, **__: None
    if kind == "object":
        data.obs["cell_type"] = data.obs["cell_type"].fillna("").astype(object)
    data.write_h5ad(tmp_path / "f.h5ad")
    shown = {"Int64": "12?12", "boolean": ["True", "False", "?", "True", "False"]}.get(
        kind, "ab?ab"
    )
    assert classes_of(tmp_path / "f.h5ad") == [n.replace("?", "unclassified") for n in shown]
