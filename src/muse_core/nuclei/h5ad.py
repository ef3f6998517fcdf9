"""Nuclei as AnnData (.h5ad), for scanpy and squidpy.

Written and read with h5py by AnnData's on-disk format (anndata documentation, "On-disk format",
versions of 0.8 and later), not with the anndata package: that package reads the whole matrix, and
holds pandas back. Positions are in ``obsm["spatial"]``, level-0 pixels, as ``uns["spatial_unit"]``
says; the other columns of the table are in ``obs``, features of nuclei in ``X``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd

from muse_core.errors import UserError
from muse_core.files import replacing, steady_file
from muse_core.nuclei.columns import nuclei_from_columns
from muse_core.nuclei.facts import Facts, facts_to_json
from muse_core.nuclei.h5ad_read import Columns, check_bytes, read_positions
from muse_core.nuclei.nucleus_file import NucleusFile, Origin
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.regions import NamedRegion
from muse_core.nuclei.scheme import ClassScheme
from muse_core.nuclei.table import validate_table
from muse_core.ordinary import require_file

if TYPE_CHECKING:
    import h5py

_DICT = ("dict", "0.1.0")
_CHUNK_ROWS = 1 << 14
_PIXELS = ("px", "pixel", "pixels", "")


def write_h5ad(
    table: pd.DataFrame,
    path: str | Path,
    scheme: ClassScheme | None = None,
    mpp: float | None = None,
    regions: Sequence[NamedRegion] = (),
    features: npt.NDArray[Any] | None = None,
    origin_px: Origin | None = None,
    slide: RecordedSlide | None = None,
) -> None:
    """Write nuclei to an AnnData file.

    Args:
        table: NucleusTable of N nuclei, level-0 pixels.
        path: Target file.
        scheme: Classes with colours and keys; the colours also as scanpy looks for them.
        mpp: Microns per level-0 pixel.
        regions: Outlines beside the nuclei.
        features: (N, D) one row for each nucleus, in the order of the table; becomes ``X``.
        origin_px: Where on the slide the positions count from, for the record.
        slide: Which slide the nuclei are of, for the record.

    Raises:
        UserError: h5py is not installed, the features do not fit the table, a text holds a null
            character, or the file cannot be written.
    """
    h5py = _h5py()
    table = validate_table(table)
    if features is not None and (features.ndim != 2 or len(features) != len(table)):
        raise UserError(f"{len(table)} nuclei need as many rows of features, got {features.shape}.")
    facts = facts_to_json(Facts(scheme, mpp, tuple(regions), origin_px, slide))
    try:
        with (
            replacing(path) as partial,
            steady_file(partial, reads_back=True) as raw,
            h5py.File(raw, "w") as file,
        ):
            _mark(file, "anndata", "0.1.0")
            _write_obs(file, table)
            _write_var(file, 0 if features is None else features.shape[1])
            if features is not None:
                # scanpy computes in 32 bits at least.
                _array(file, "X", features.astype(np.float32))
            for name in ("layers", "varm", "obsp", "varp"):
                _mark(file.create_group(name), *_DICT)
            _mark(file.create_group("obsm"), *_DICT)
            _array(file["obsm"], "spatial", table[["x", "y"]].to_numpy(np.float64))
            _write_uns(file, facts, _colors(table, scheme))
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"These nuclei cannot be written as AnnData: {error}.") from error


def read_h5ad(path: str | Path) -> NucleusFile:
    """Read nuclei from an AnnData file, ours or one with positions in ``obsm["spatial"]``.

    ``X`` is not read, however large.

    Raises:
        UserError: h5py is not installed, the file is missing, is no AnnData, has no positions, or
            holds a bad value.
    """
    h5py = _h5py()
    source = require_file(path)
    try:
        with h5py.File(source, "r") as file:
            xy = read_positions(file["obsm"]["spatial"])
            _require_pixels(file.get("uns", {}))
            columns = Columns(file["obs"], len(xy), "obs")
            return nuclei_from_columns(xy, columns, _facts(file.get("uns", {})))
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from error
    except (
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise UserError(
            f'{source.name} is not an AnnData file with positions in obsm["spatial"].'
        ) from error


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            "AnnData files need h5py; install napari-muse with its extra: napari-muse[anndata]."
        ) from error
    return h5py


def _write_obs(file: h5py.File, table: pd.DataFrame) -> None:
    columns = ("id", "class_name", "score", "status", "model")
    obs = _frame(file, "obs", table["id"].astype(str).to_numpy(dtype=object), columns)
    _array(obs, "id", table["id"].to_numpy(np.int64))
    _array(obs, "score", table["score"].to_numpy(np.float32))
    for name in ("class_name", "status", "model"):
        codes, categories = pd.factorize(table[name].to_numpy(dtype=object), sort=True)
        group = obs.create_group(name)
        _mark(group, "categorical", "0.2.0")
        group.attrs["ordered"] = False
        _array(group, "codes", codes.astype(np.int32))
        _texts(group, "categories", categories)


def _write_var(file: h5py.File, n: int) -> None:
    _frame(file, "var", np.array([f"feature_{i}" for i in range(n)], dtype=object), ())


def _write_uns(file: h5py.File, facts: dict[str, Any], colors: list[str]) -> None:
    uns = file.create_group("uns")
    _mark(uns, *_DICT)
    _text(uns, "muse", orjson.dumps(facts).decode())
    _text(uns, "spatial_unit", "px")
    if "mpp" in facts:
        uns["mpp"] = facts["mpp"]
        _mark(uns["mpp"], "numeric-scalar", "0.2.0")
    if colors:
        _texts(uns, "class_name_colors", np.array(colors, dtype=object))


def _colors(table: pd.DataFrame, scheme: ClassScheme | None) -> list[str]:
    """Colours in the order of the categories, which is where scanpy looks; else none."""
    names = sorted(table["class_name"].unique())
    if scheme is None or not set(names) <= set(scheme.names):
        return []
    return [scheme.color(name) for name in names]


def _frame(
    file: h5py.File, name: str, index: npt.NDArray[np.object_], columns: tuple[str, ...]
) -> h5py.Group:
    group = file.create_group(name)
    _mark(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create(
        "column-order", list(columns), dtype=_h5py().string_dtype(), shape=len(columns)
    )
    _texts(group, "_index", index)
    return group


def _mark(item: Any, kind: str, version: str) -> None:
    item.attrs["encoding-type"], item.attrs["encoding-version"] = kind, version


def _array(group: h5py.Group, name: str, values: npt.NDArray[Any]) -> None:
    chunked = {"chunks": (_CHUNK_ROWS, *values.shape[1:]), "compression": "gzip"}
    _mark(
        group.create_dataset(name, data=values, **(chunked if len(values) >= _CHUNK_ROWS else {})),
        "array",
        "0.2.0",
    )


def _texts(group: h5py.Group, name: str, values: Any) -> None:
    values = np.asarray(values, dtype=object)
    item = group.create_dataset(name, shape=values.shape, dtype=_h5py().string_dtype())
    if len(values):
        item[:] = values
    _mark(item, "string-array", "0.2.0")


def _text(group: h5py.Group, name: str, value: str) -> None:
    group.create_dataset(name, data=value, dtype=_h5py().string_dtype())
    _mark(group[name], "string", "0.2.0")


def _require_pixels(uns: Any) -> None:
    """Refuse positions that the file says are in another unit.

    Raises:
        UserError: It does.
    """
    if not hasattr(uns, "get") or "spatial_unit" not in uns or uns["spatial_unit"].shape != ():
        return
    check_bytes(1, uns["spatial_unit"], 'uns["spatial_unit"]')
    unit = str(uns["spatial_unit"].asstr()[()]).strip()
    if unit.lower() not in _PIXELS:
        raise UserError(
            f'its positions are in {unit!r}, as uns["spatial_unit"] says; pixels can be read.'
        )


def _facts(uns: Any) -> str | None:
    if "muse" not in uns:
        return None
    if uns["muse"].shape != ():
        raise UserError("The notes of napari-muse in this file are damaged.")
    check_bytes(1, uns["muse"], 'uns["muse"]')
    return str(uns["muse"].asstr()[()])
