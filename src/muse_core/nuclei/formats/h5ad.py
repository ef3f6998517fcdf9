"""Nuclei as AnnData (.h5ad), for scanpy and squidpy.

Written and read with h5py according to AnnData's on-disk format (anndata documentation, "On-disk
format", version 0.8 and later) and not with the anndata package, which reads the whole matrix and
requires an older pandas. Positions are in ``obsm["spatial"]``, in level-0 pixels as stated in
``uns["spatial_unit"]``; the other columns of the table are in ``obs``, features of nuclei in ``X``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import orjson
import pandas as pd

from muse_core.errors import UserError
from muse_core.files import replacing, steady_file
from muse_core.nuclei.formats.columns import nuclei_from_columns
from muse_core.nuclei.formats.facts import Facts, facts_of, facts_to_json
from muse_core.nuclei.formats.h5ad_read import Columns, check_bytes, read_positions
from muse_core.nuclei.nucleus_file import NucleusFile
from muse_core.nuclei.scheme import ClassScheme
from muse_core.nuclei.table import valid_parts
from muse_core.ordinary import require_file

if TYPE_CHECKING:
    import h5py

_DICT = ("dict", "0.1.0")
_CHUNK_ROWS = 1 << 14
_CATEGORICAL = ("class_name", "status", "model")
_PIXELS = ("px", "pixel", "pixels", "")
_OF_ALL_FIELDS = ("spatial_fov", "global")
"""Where squidpy and spatialdata-io put positions of CosMx in the whole image."""
_IN_MICRONS = {
    "Xenium": {"transcript_counts", "cell_area"},
    "MERSCOPE": {"fov", "volume", "min_x", "max_x"},
}
"""Columns that instruments put into obs, whose positions all readers leave in microns."""


def write_h5ad(
    content: NucleusFile, path: str | Path, features: npt.NDArray[Any] | None = None
) -> None:
    """Write nuclei to an AnnData file; colours of classes also as scanpy looks for them.

    Args:
        content: N nuclei and what is known of them.
        path: Target file.
        features: (N, D) one row for each nucleus, in the order of the table; becomes ``X``.

    Raises:
        UserError: h5py is not installed, the features do not fit the table, a text holds a null
            character, or the file cannot be written.
    """
    n = len(content.table)
    if features is not None and (np.ndim(features) != 2 or len(features) != n):
        shape = np.shape(features)
        raise UserError(f"{n} nuclei need as many rows of features, got the shape {shape}.")
    write_h5ad_parts([content.table], path, facts_of(content), features)


def write_h5ad_parts(
    parts: Iterable[pd.DataFrame],
    path: str | Path,
    facts: Facts,
    features: npt.NDArray[Any] | None = None,
) -> None:
    """Like :func:`write_h5ad`, for an iterable of tables, in little memory.

    Args:
        parts: NucleusTables, whose ids differ.
        path: Target file.
        facts: Rest of the file's content.
        features: (N, D) of all nuclei.

    Raises:
        UserError: See :func:`write_h5ad`.
    """
    h5py = _h5py()
    try:
        with (
            replacing(path) as partial,
            steady_file(partial, reads_back=True) as raw,
            h5py.File(raw, "w") as file,
        ):
            _mark(file, "anndata", "0.1.0")
            rows = _Rows(file)
            for table in valid_parts(parts):
                rows.add(table)
            names = rows.finish()
            _write_var(file, 0 if features is None else features.shape[1])
            if features is not None:
                # scanpy computes in 32 bits at least.
                _array(file, "X", features.astype(np.float32))
            for name in ("layers", "varm", "obsp", "varp"):
                _mark(file.create_group(name), *_DICT)
            _write_uns(file, facts_to_json(facts), _colors(names, facts.scheme))
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
        # Some network drives have no locks, and reading needs none.
        with h5py.File(source, "r", locking=False) as file:
            _require_groups(file)
            xy = read_positions(file["obsm"]["spatial"])
            columns = Columns(file["obs"], len(xy), "obs")
            if not _states_pixels(file.get("uns", {})):
                _require_of_image(file["obsm"], columns)
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


class _Rows:
    """``obs`` and ``obsm["spatial"]`` of a new file, to which rows are appended."""

    def __init__(self, file: h5py.File) -> None:
        self._obs = _frame(file, "obs", ("id", "class_name", "score", "status", "model"))
        text = _h5py().string_dtype()
        self._index = _growing(self._obs, "_index", text, ("string-array", "0.2.0"))
        self._id = _growing(self._obs, "id", np.int64)
        self._score = _growing(self._obs, "score", np.float32)
        self._codes = {}
        for name in _CATEGORICAL:
            group = self._obs.create_group(name)
            _mark(group, "categorical", "0.2.0")
            group.attrs["ordered"] = False
            self._codes[name] = _growing(group, "codes", np.int32)
        self._found: dict[str, dict[str, int]] = {name: {} for name in _CATEGORICAL}
        obsm = file.create_group("obsm")
        _mark(obsm, *_DICT)
        self._xy = _growing(obsm, "spatial", np.float64, columns=(2,))

    def add(self, table: pd.DataFrame) -> None:
        """Append nuclei."""
        _append(self._index, table["id"].astype(str).to_numpy(dtype=object))
        _append(self._id, table["id"].to_numpy(np.int64))
        _append(self._score, table["score"].to_numpy(np.float32))
        _append(self._xy, table[["x", "y"]].to_numpy(np.float64))
        for name, codes in self._codes.items():
            found = self._found[name]
            own, names = pd.factorize(table[name].to_numpy(dtype=object))
            numbers = np.array([found.setdefault(n, len(found)) for n in names], dtype=np.int32)
            _append(codes, numbers[own] if len(own) else own.astype(np.int32))

    def finish(self) -> list[str]:
        """Number the categories in their alphabetical order; return the names of classes."""
        for name, codes in self._codes.items():
            found = self._found[name]
            place = {category: i for i, category in enumerate(sorted(found))}
            number = np.array([place[category] for category in found], dtype=np.int32)
            for i in range(0, len(codes) if found else 0, _CHUNK_ROWS):
                codes[i : i + _CHUNK_ROWS] = number[codes[i : i + _CHUNK_ROWS]]
            _texts(self._obs[name], "categories", list(place))
        return sorted(self._found["class_name"])


def _growing(
    group: h5py.Group,
    name: str,
    dtype: Any,
    kind: tuple[str, str] = ("array", "0.2.0"),
    columns: tuple[int, ...] = (),
) -> h5py.Dataset:
    """Create an empty dataset to which rows can be appended."""
    item = group.create_dataset(
        name,
        shape=(0, *columns),
        maxshape=(None, *columns),
        dtype=dtype,
        chunks=(_CHUNK_ROWS, *columns),
        compression="gzip",
    )
    _mark(item, *kind)
    return item


def _append(item: h5py.Dataset, values: npt.NDArray[Any]) -> None:
    if len(values):
        before = len(item)
        item.resize(before + len(values), axis=0)
        item[before:] = values


def _write_var(file: h5py.File, n: int) -> None:
    index = np.array([f"feature_{i}" for i in range(n)], dtype=object)
    _texts(_frame(file, "var", ()), "_index", index)


def _write_uns(file: h5py.File, facts: dict[str, object], colors: list[str]) -> None:
    uns = file.create_group("uns")
    _mark(uns, *_DICT)
    _text(uns, "muse", orjson.dumps(facts).decode())
    _text(uns, "spatial_unit", "px")
    if "mpp" in facts:
        uns["mpp"] = facts["mpp"]
        _mark(uns["mpp"], "numeric-scalar", "0.2.0")
    if colors:
        _texts(uns, "class_name_colors", np.array(colors, dtype=object))


def _colors(names: Sequence[str], scheme: ClassScheme | None) -> list[str]:
    """Colours in the order of the categories, which is where scanpy looks; else none."""
    if scheme is None or not set(names) <= set(scheme.names):
        return []
    return [scheme.color(name) for name in names]


def _frame(file: h5py.File, name: str, columns: tuple[str, ...]) -> h5py.Group:
    group = file.create_group(name)
    _mark(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create(
        "column-order", list(columns), dtype=_h5py().string_dtype(), shape=len(columns)
    )
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


def _require_groups(file: h5py.File) -> None:
    """Raises UserError for a file of anndata before 0.7, which kept positions as one array."""
    if hasattr(file.get("obsm"), "dtype"):
        raise UserError(
            "Its positions are not as AnnData writes them since version 0.7; open it with anndata"
            " and save it again."
        )


def _states_pixels(uns: Any) -> bool:
    """Whether the file says that positions are in pixels; False where it says nothing.

    Raises:
        UserError: It states another unit.
    """
    if not hasattr(uns, "get") or "spatial_unit" not in uns or uns["spatial_unit"].shape != ():
        return False
    check_bytes(1, uns["spatial_unit"], 'uns["spatial_unit"]')
    unit = str(uns["spatial_unit"].asstr()[()]).strip()
    if unit.lower() not in _PIXELS:
        raise UserError(
            f'its positions are in {unit!r}, as uns["spatial_unit"] says; pixels can be read.'
        )
    return bool(unit)


def _require_of_image(obsm: Any, columns: Iterable[str]) -> None:
    """Refuse positions of instruments that are known not to be pixels of a whole image.

    Raises:
        UserError: The file has what readers of such an instrument put into it.
    """
    put_right = 'put pixels of the slide into obsm["spatial"] and "px" into uns["spatial_unit"].'
    beside = next((name for name in _OF_ALL_FIELDS if name in obsm), None)
    if beside is not None:
        raise UserError(
            f'its obsm["spatial"] counts from each field of view, since there is a'
            f' obsm["{beside}"] too, as of CosMx; {put_right}'
        )
    names = set(columns)
    for instrument, own in _IN_MICRONS.items():
        if own <= names:
            raise UserError(
                f"its columns {', '.join(sorted(own))} are those of {instrument}, whose positions"
                f" are in microns; {put_right}"
            )


def _facts(uns: Any) -> str | None:
    if "muse" not in uns:
        return None
    if uns["muse"].shape != ():
        raise UserError("The notes of napari-muse in this file are damaged.")
    check_bytes(1, uns["muse"], 'uns["muse"]')
    return str(uns["muse"].asstr()[()])
