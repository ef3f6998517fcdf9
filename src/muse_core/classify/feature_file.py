"""Features on disk: a Zarr group with one row for each nucleus. Imports no torch.

Arrays: ``features`` (N, D) float16, ``id`` (N,) int64, ``x`` and ``y`` (N,) float64 in level-0
pixels. Attributes say which model at which resolution; rows of a cancelled run are NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr

from muse_core.classify.feature_folder import keeps_features
from muse_core.errors import UserError
from muse_core.files import replacing, unnamed_file
from muse_core.ordinary import require_folder

_CHUNK_ROWS = 4096
_MAX_BYTES = 1 << 34
_NOT_SO = (KeyError, ValueError, TypeError, OSError, RuntimeError)
"""Errors that zarr raises when a folder holds something else."""


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
    with replacing(target) as partial, unnamed_file(target.parent) as rows:
        done = np.zeros(len(table), dtype=bool)
        for chosen, features in chunks:
            _put_rows(rows, chosen, features)
            done[chosen] = True
        facts = {**attributes, "complete": bool(done.all())}
        _save(partial, table, _rows_in_order(rows, done, n_channels), n_channels, facts)
    return int(done.sum())


def read_features(path: str | Path) -> FeatureFile:
    """Read a whole file of features.

    Raises:
        UserError: There is no such folder, or it holds no features, or not all of them.
    """
    source = require_folder(path)
    try:
        group, arrays = _open(source)
        # Values that were never written take no room in the folder.
        if sum(a.size * a.dtype.itemsize for a in arrays) > _MAX_BYTES:
            raise UserError(f"{source} holds more features than fit into the memory.")
        if arrays[0].nchunks_initialized < arrays[0].nchunks:
            raise UserError(f"{source} is incomplete: files with features are missing.")
        features, ids, x, y = (np.asarray(a) for a in arrays)
    except UserError:
        raise
    except (*_NOT_SO, MemoryError) as error:
        if keeps_features(source):
            raise UserError(
                f"{source} has the features that detection keeps for relearning; a folder that"
                " muse features has written is needed here."
            ) from error
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


def _put_rows(
    file: IO[bytes], chosen: npt.NDArray[np.int64], features: npt.NDArray[np.float16]
) -> None:
    """Write rows to their places in a file of float16.

    Not through a map of the file: on a full disk that ends the program without a word.
    """
    order = np.argsort(chosen)
    chosen, features = chosen[order], np.ascontiguousarray(features[order], dtype=np.float16)
    starts = np.flatnonzero(np.diff(chosen, prepend=-2) != 1)
    for start, stop in zip(starts, [*starts[1:], len(chosen)], strict=True):
        file.seek(int(chosen[start]) * features.shape[1] * features.itemsize)
        file.write(features[start:stop].tobytes())


def _rows_in_order(
    file: IO[bytes], done: npt.NDArray[np.bool_], n_channels: int
) -> Iterator[npt.NDArray[np.float16]]:
    """All rows in chunks (n, D); NaN where none was put."""
    width = n_channels * np.dtype(np.float16).itemsize
    file.truncate(len(done) * width)
    file.seek(0)
    for start in range(0, len(done), _CHUNK_ROWS):
        there = done[start : start + _CHUNK_ROWS]
        part = np.frombuffer(file.read(len(there) * width), np.float16).reshape(-1, n_channels)
        yield np.where(there[:, None], part, np.float16(np.nan))


def _save(
    folder: Path,
    table: pd.DataFrame,
    parts: Iterable[npt.NDArray[np.float16]],
    n_channels: int,
    attributes: dict[str, Any],
) -> None:
    group = zarr.open_group(folder, mode="w", zarr_format=2)
    for name in ("id", "x", "y"):
        group.create_array(name, data=table[name].to_numpy(), chunks=(_CHUNK_ROWS * 16,))
    array = group.create_array(
        "features",
        shape=(len(table), n_channels),
        chunks=(min(_CHUNK_ROWS, max(1, len(table))), n_channels),
        dtype=np.float16,
    )
    start = 0
    for part in parts:
        array[start : start + len(part)] = part
        start += len(part)
    group.attrs.update(attributes)
