"""A table, and .h5ad files written element by element as versions of anndata write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from muse_core.nuclei import ClassScheme, nucleus_table

h5py = pytest.importorskip("h5py")

SCHEME = ClassScheme.from_names(["tumor", "stromal", "immune"])
TABLE = nucleus_table(
    [1.5, 2, 3], [4, 5, 6], ["tumor", "immune", "tumor"], [0.25, 1, 0.5], model="m", ids=[7, -3, 9]
)
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
