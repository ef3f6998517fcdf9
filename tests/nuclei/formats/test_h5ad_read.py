"""Every encoding in which AnnData has stored classes and positions in .h5ad files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from muse_core.errors import UserError
from muse_core.nuclei import NucleusFile, read_nuclei_here, write_nuclei

from .h5ad_files import SCHEME, TABLE, TEXT, array, categorical, foreign, mark, nullable, strings

h5py = pytest.importorskip("h5py")


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
    write_nuclei(path, NucleusFile(TABLE, SCHEME, 0.5))
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
    assert read_nuclei_here(path).notes == ("1 nucleus without a class is now 'unclassified'.",)
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
    with h5py.File(tmp_path / "f.h5ad", "a") as file:
        del file["obsm"]
        file["obsm"] = np.zeros(5, dtype=[("spatial", "f8", (2,))])
    with pytest.raises(UserError, match=r"positions are not as AnnData writes them since .* 0\.7"):
        read_nuclei_here(tmp_path / "f.h5ad")


def test_cells_of_several_slides_are_not_laid_over_each_other(tmp_path: Path) -> None:
    def column(obs: Any) -> None:
        strings(obs, "cell_type", list("abcde"))
        strings(obs, "library_id", ["one", "two", "one", "", "one"])
        obs.attrs["column-order"] = ["cell_type", "library_id"]

    foreign(tmp_path / "f.h5ad", column)
    with pytest.raises(UserError, match=r"several slides by .* 'library_id' \(one, two\); keep"):
        read_nuclei_here(tmp_path / "f.h5ad")
    with h5py.File(tmp_path / "f.h5ad", "a") as file:
        file["obs/library_id"][1] = "one"
    assert len(read_nuclei_here(tmp_path / "f.h5ad").table) == 5


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
