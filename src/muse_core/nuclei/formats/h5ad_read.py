"""Columns and positions of AnnData files in every encoding that anndata has written since 0.7.

Encodings are those of anndata's documentation, "On-disk format"; one that is not known here is
refused by name and never taken for a column that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.nuclei.formats.columns import require_one_plane
from muse_core.nuclei.nucleus_file import check_count

_MAX_BYTES = 1 << 30
_XY_NAMES = (
    ("x", "y"),
    ("x_px", "y_px"),
    ("x_centroid", "y_centroid"),
    ("centroid_x", "centroid_y"),
    ("pxl_col_in_fullres", "pxl_row_in_fullres"),
    ("spatial1", "spatial2"),
    ("spatial_1", "spatial_2"),
    ("spatial_0", "spatial_1"),
    ("0", "1"),
)
"""Known names of columns of positions, lower case; their order alone is not trusted."""
_DAMAGED = (LookupError, ValueError, TypeError, AttributeError, RuntimeError, OSError)


class Columns(Mapping[str, npt.NDArray[Any]]):
    """Columns of a data frame in the file, each read when it is asked for."""

    def __init__(self, frame: Any, n: int, place: str) -> None:
        """List the columns.

        Args:
            frame: The HDF5 group.
            n: How many rows there must be.
            place: What the frame is called in the file, for errors.

        Raises:
            UserError: It is of a version of anndata before 0.7.
        """
        if "column-order" not in frame.attrs:
            raise UserError(
                f"Its table {place} is not as AnnData writes it since version 0.7; open it with"
                " anndata and save it again."
            )
        order = [_text(name) for name in frame.attrs["column-order"]]
        self._items = {name: frame[name] for name in order if name in frame}
        self._n, self._place = n, place

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """(N,) values, None or NaN where one is missing; raises UserError for unreadable ones."""
        return _column(self._items[name], self._n, f"{self._place}[{name!r}]")

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def read_positions(item: Any) -> npt.NDArray[np.float64]:
    """(N, 2) x and y of an array, a data frame, a structured array or a sparse matrix.

    A third column, the plane of a stack, must be the same for all.

    Raises:
        UserError: They are of another kind, damaged, not named x and y, too many, or of several
            planes.
    """
    place = 'obsm["spatial"]'
    found = _read_axes(item, place)
    if found.shape[1] > 2:
        require_one_plane(np.unique(found[:, 2]).tolist(), f"by the z of {place}")
    return found[:, :2]


def _read_axes(item: Any, place: str) -> npt.NDArray[np.float64]:
    """(N, 2) x and y, or (N, 3) where there is z."""
    kind = _kind(item)
    if kind == "dataframe":
        n = _length(item[_text(item.attrs["_index"])])
        check_count(n, place)
        columns = Columns(item, n, place)
        pair = [columns[name] for name in _xy_names(list(columns), place)]
        return np.stack([_floats(values, place) for values in pair], axis=1)
    if kind in ("csr_matrix", "csc_matrix"):
        return _sparse_positions(item, kind, place)
    if not hasattr(item, "dtype"):
        raise _unknown(place, kind)
    if item.dtype.names is not None:
        names = _xy_names(item.dtype.names, place)
        check_count(len(item), place)
        check_bytes(len(item), item, place)
        raw = item[()]
        return np.stack([_floats(raw[name], place) for name in names], axis=1)
    if item.ndim != 2 or item.shape[1] < 2:
        raise UserError("Its positions are not pairs of numbers.")
    check_count(len(item), place)
    check_bytes(3 * len(item), item, place)
    return _floats(item[:, :3], place)


def check_bytes(n_values: int, item: Any, place: str) -> None:
    """Raise UserError where values, which need not take room in the file, would fill the memory."""
    if n_values * item.dtype.itemsize > _MAX_BYTES:
        raise UserError(f"It holds a column that would fill the memory, {place}.")


def _column(item: Any, n: int, place: str) -> npt.NDArray[Any]:
    kind = _kind(item)
    try:
        if kind == "categorical":
            return _categorical(item["codes"], item["categories"], n, place)
        if kind.startswith("nullable-"):
            values, mask = _column(item["values"], n, place), _column(item["mask"], n, place)
            shown = values.astype(object)
            shown[mask.astype(bool)] = None
            return shown
        if kind in ("", "array", "string-array") and hasattr(item, "dtype"):
            if "categories" in item.attrs:
                # Up to anndata 0.7.
                return _categorical(item, item.file[item.attrs["categories"]], n, place)
            return _plain(item, n, place)
    except UserError:
        raise
    except _DAMAGED as error:
        raise UserError(f"Its column {place} is damaged.") from error
    raise _unknown(place, kind)


def _categorical(codes: Any, categories: Any, n: int, place: str) -> npt.NDArray[np.object_]:
    check_count(len(categories), f"The column {place}")
    names = _column(categories, len(categories), place).astype(object)
    numbers = _plain(codes, n, place)
    if numbers.dtype.kind not in "iu" or not ((numbers >= -1) & (numbers < len(names))).all():
        raise UserError(f"Its column {place} is damaged.")
    # A code of -1 is a missing value.
    result: npt.NDArray[np.object_] = np.concatenate([names, np.array([None], dtype=object)])[
        numbers
    ]
    return result


def _plain(item: Any, n: int, place: str) -> npt.NDArray[Any]:
    if item.ndim != 1 or len(item) != n:
        raise UserError(f"Its column {place} is damaged: it has not one value for each row.")
    check_bytes(n, item, place)
    if item.dtype.kind in "biuf":
        return np.asarray(item)
    if item.dtype.kind in "OS":
        return np.asarray(item.asstr()[()], dtype=object)
    raise _unknown(place, str(item.dtype))


def _sparse_positions(item: Any, kind: str, place: str) -> npt.NDArray[np.float64]:
    from scipy import sparse

    try:
        rows, columns = (int(side) for side in item.attrs["shape"])
        if columns < 2:
            raise UserError("Its positions are not pairs of numbers.")
        check_count(rows, place)
        parts = [item[name] for name in ("data", "indices", "indptr")]
        for part in parts:
            check_bytes(len(part), part, place)
        make = sparse.csr_array if kind == "csr_matrix" else sparse.csc_array
        matrix = make(tuple(part[()] for part in parts), shape=(rows, columns))
        matrix.check_format(full_check=True)
        return _floats(matrix[:, :3].toarray(), place)
    except UserError:
        raise
    except _DAMAGED as error:
        raise UserError(f"Its {place} is damaged.") from error


def _xy_names(names: Sequence[str], place: str) -> tuple[str, ...]:
    """Names of x, y and, where there is one, z."""
    known = {name.lower(): name for name in reversed(names)}
    for x, y in _XY_NAMES:
        if x in known and y in known:
            z = x.replace("x", "z")
            return known[x], known[y], *((known[z],) if z != x and z in known else ())
    raise UserError(
        f"Its {place} has the columns {', '.join(names)[:200] or 'of no name'}; which of them are x"
        " and y cannot be told: name them so."
    )


def _floats(values: npt.NDArray[Any], place: str) -> npt.NDArray[np.float64]:
    if values.dtype.kind == "O":
        values = np.array([np.nan if v is None else v for v in values.ravel()]).reshape(
            values.shape
        )
    if values.dtype.kind not in "iuf":
        raise UserError(f"Its {place} does not hold numbers.")
    return values.astype(np.float64)


def _length(column: Any) -> int:
    """Rows of a column, which is a group where values have a mask or are categories."""
    for part in ("values", "codes"):
        if not hasattr(column, "dtype") and part in column:
            return len(column[part])
    return len(column)


def _kind(item: Any) -> str:
    return _text(item.attrs.get("encoding-type", ""))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _unknown(place: str, kind: str) -> UserError:
    return UserError(
        f"Its column {place} is encoded as {kind or 'nothing known'!r}, which cannot be read."
    )
