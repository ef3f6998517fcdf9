"""Geometries of GeoParquet 1.1 in the native encodings of GeoArrow, as shapely has them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from muse_core.errors import UserError

_DEPTHS = {
    "point": (shapely.GeometryType.POINT, 0),
    "linestring": (shapely.GeometryType.LINESTRING, 1),
    "polygon": (shapely.GeometryType.POLYGON, 2),
    "multipoint": (shapely.GeometryType.MULTIPOINT, 1),
    "multilinestring": (shapely.GeometryType.MULTILINESTRING, 2),
    "multipolygon": (shapely.GeometryType.MULTIPOLYGON, 3),
}
"""For each encoding the type of geometry and the nesting depth of its coordinate lists."""


def is_native(encoding: str, kind: pa.DataType) -> bool:
    """Whether a column is of the type that its encoding asks for."""
    if encoding not in _DEPTHS:
        return False
    for _ in range(_DEPTHS[encoding][1]):
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            return False
        kind = kind.value_type
    if pa.types.is_fixed_size_list(kind):
        result: bool = kind.list_size >= 2 and pa.types.is_floating(kind.value_type)
        return result
    return pa.types.is_struct(kind) and {"x", "y"} <= {field.name for field in kind}


def native_shapes(geometries: pa.Array, encoding: str) -> npt.NDArray[np.object_]:
    """(N,) geometries, None where there is none.

    Args:
        geometries: Of N rows, for which :func:`is_native` holds.
        encoding: Of the column.

    Raises:
        UserError: A geometry is damaged.
    """
    kind, depth = _DEPTHS[encoding]
    missing = geometries.is_null().to_numpy(zero_copy_only=False)
    lists, offsets = geometries, []
    for _ in range(depth):
        # Counted from the first value that this part of the column has.
        starts = lists.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        offsets.append(starts - starts[0])
        lists = lists.values.slice(starts[0], starts[-1] - starts[0])
    corners = _corners(lists)
    if not len(corners):
        return np.full(len(geometries), None, dtype=object)
    try:
        shapes = shapely.from_ragged_array(kind, corners, tuple(reversed(offsets)) or None)
    except (shapely.errors.ShapelyError, ValueError, IndexError, TypeError) as error:
        raise UserError("It holds a geometry that is damaged.") from error
    shapes[missing] = None
    result: npt.NDArray[np.object_] = shapes
    return result


def _corners(values: pa.Array) -> npt.NDArray[np.float64]:
    """(N, 2) x and y, or (N, 3) where there is z."""
    if pa.types.is_fixed_size_list(values.type):
        size = values.type.list_size
        # Not flatten(), which leaves the missing ones out.
        flat = values.values.slice(values.offset * size, len(values) * size)
        numbers = flat.to_numpy(zero_copy_only=False).astype(np.float64)
        result: npt.NDArray[np.float64] = numbers.reshape(-1, size)[:, :3]
        return result
    axes = [name for name in "xyz" if values.type.get_field_index(name) >= 0]
    parts = [values.field(name).to_numpy(zero_copy_only=False) for name in axes]
    return np.stack(parts, axis=1).astype(np.float64)
