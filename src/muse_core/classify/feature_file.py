"""Features on disk: a Zarr group with one row for each nucleus. Imports no torch.

Arrays: ``features`` (N, D) float16, ``id`` (N,) int64, ``x`` and ``y`` (N,) float64 in level-0
pixels. Attributes say which model at which resolution; rows of a cancelled run are NaN.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr

from muse_core.errors import UserError
from muse_core.files import replacing

_CHUNK_ROWS = 4096
_MAX_BYTES = 1 << 34
_NOT_SO = (KeyError, ValueError, TypeError, OSError, RuntimeError)
"""What opening something else comes to."""


@dataclass(frozen=True)
class FeatureFile:
    """Content of a file of features.

    Attributes:
        features: (N, D) float16; rows of a cancelled run are NaN.
        ids: (N,) int64, the ids of their nuclei.
        xy: (N, 2) float64, level-0 pixels, where those nuclei lay.
        attributes: Model, resolution and the like; ``complete`` is false after a cancelled run.
    """

    features: npt.NDArray[np.float16]
    ids: npt.NDArray[np.int64]
    xy: npt.NDArray[np.float64]
    attributes: dict[str, Any]


def write_features(
    path: str | Path,
    table: pd.DataFrame,
    n_channels: int,
    chunks: Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]],
    attributes: dict[str, Any],
) -> int:
    """Write features as they come, in any order; an older folder is replaced once all is written.

    Memory stays at the size of a chunk: rows wait in a file until they are all there.

    Args:
        path: Folder to write, by convention ending in ``.zarr``.
        table: NucleusTable of N nuclei.
        n_channels: D.
        chunks: Rows and their features, (n,) and (n, D).
        attributes: JSON-able facts for the group.

    Returns:
        How many rows got features.

    Raises:
        UserError: The folder cannot be written.
    """
    target = Path(path)
    with (
        replacing(target) as partial,
        tempfile.TemporaryDirectory(
            dir=target.parent, prefix=f".{target.name}.", ignore_cleanup_errors=True
        ) as scratch,
    ):
        rows = _scratch_rows(Path(scratch) / "rows.npy", len(table), n_channels)
        done = np.zeros(len(table), dtype=bool)
        for chosen, features in chunks:
            rows[chosen] = features
            done[chosen] = True
        _save(partial, table, rows, done, attributes)
        del rows
    return int(done.sum())


def read_features(path: str | Path) -> FeatureFile:
    """Read a whole file of features.

    Raises:
        UserError: There is no such folder, or it holds no features.
    """
    source = Path(path)
    if not source.is_dir():
        raise UserError(f"There is no folder {source}.")
    try:
        group, arrays = _open(source)
        # Values that were never written take no room in the folder.
        if sum(a.size * a.dtype.itemsize for a in arrays) > _MAX_BYTES:
            raise UserError(f"{source} holds more features than fit into the memory.")
        features, ids, x, y = (np.asarray(a) for a in arrays)
    except UserError:
        raise
    except (*_NOT_SO, MemoryError) as error:
        raise UserError(f"{source} holds no nucleus features.") from error
    return FeatureFile(features, ids, np.stack([x, y], axis=1), dict(group.attrs))


def is_feature_file(folder: Path) -> bool:
    """Whether a folder holds features, by the metadata of its arrays."""
    try:
        _open(folder)
    except _NOT_SO:
        return False
    return True


def _open(folder: Path) -> tuple[zarr.Group, list[zarr.Array[Any]]]:
    """The group and its arrays; of these nothing but metadata is read."""
    group = zarr.open_group(folder, mode="r")
    arrays = [_array(group, name) for name in ("features", "id", "x", "y")]
    if arrays[0].ndim != 2 or any(a.shape != arrays[0].shape[:1] for a in arrays[1:]):
        raise ValueError("the arrays are not of the same nuclei")
    return group, arrays


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    item = group[name]
    if not isinstance(item, zarr.Array):
        raise TypeError(f"{name} is no array")
    return item


def _scratch_rows(path: Path, n_rows: int, n_channels: int) -> npt.NDArray[np.float16]:
    if n_rows == 0:  # a file of no bytes cannot be mapped
        return np.zeros((0, n_channels), dtype=np.float16)
    return np.lib.format.open_memmap(path, "w+", np.float16, (n_rows, n_channels))


def _save(
    folder: Path,
    table: pd.DataFrame,
    rows: npt.NDArray[np.float16],
    done: npt.NDArray[np.bool_],
    attributes: dict[str, Any],
) -> None:
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    group.attrs.update({**attributes, "complete": bool(done.all())})
    for name in ("id", "x", "y"):
        group.create_array(name, data=table[name].to_numpy(), chunks=(_CHUNK_ROWS * 16,))
    array = group.create_array(
        "features",
        shape=rows.shape,
        chunks=(min(_CHUNK_ROWS, max(1, len(rows))), rows.shape[1]),
        dtype=np.float16,
    )
    for start in range(0, len(rows), _CHUNK_ROWS):
        part = np.array(rows[start : start + _CHUNK_ROWS])
        part[~done[start : start + _CHUNK_ROWS]] = np.nan
        array[start : start + _CHUNK_ROWS] = part
