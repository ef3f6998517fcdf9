"""Columns of Parquet files as nuclei need them, whichever of Arrow's types they have."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from muse_core.errors import UserError


def is_bytes(kind: pa.DataType) -> bool:
    """Whether values are bytes of any length."""
    result: bool = (
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )
    return result


def is_text(kind: pa.DataType) -> bool:
    """Whether values are texts."""
    result: bool = (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )
    return result


def is_name(kind: pa.DataType) -> bool:
    """Whether values can name classes."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return (
        _is_classification(kind)
        or is_text(kind)
        or is_bytes(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _is_classification(kind: pa.DataType) -> bool:
    """Whether values are classifications of QuPath, as geopandas writes them."""
    fields = {field.name: field.type for field in kind} if pa.types.is_struct(kind) else {}
    names = fields.get("names", pa.null())
    return is_text(fields.get("name", pa.null())) or (
        pa.types.is_list(names) and is_text(names.value_type)
    )


def _names_within(values: pa.Array) -> pa.Array:
    """(N,) names of classifications; several of one are joined as QuPath does."""
    kinds = {field.name: field.type for field in values.type}
    found = pa.nulls(len(values), pa.large_string())
    if pa.types.is_list(kinds.get("names", pa.null())):
        joined = pc.binary_join(pc.struct_field(values, "names"), ": ")
        found = pc.cast(pc.if_else(pc.equal(joined, ""), None, joined), pa.large_string())
    if "name" not in kinds:
        return found
    return pc.coalesce(found, pc.cast(pc.struct_field(values, "name"), pa.large_string()))


def is_fractional(kind: pa.DataType) -> bool:
    """Whether values are floating-point, as pandas makes whole numbers if some are missing."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    result: bool = pa.types.is_floating(kind)
    return result


def names_parts(kind: pa.DataType) -> bool:
    """Whether values can name slides or planes; bytes under such a name are pictures."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return (is_name(kind) and not is_bytes(kind)) or is_number(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether values are numbers."""
    result: bool = (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )
    return result


def is_score(kind: pa.DataType) -> bool:
    """Whether the values of a column named like a score can be probabilities."""
    # Whole numbers under such a name are counts or percentages.
    result: bool = pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return result


def distinct(column: pa.Array) -> tuple[pa.Array, npt.NDArray[np.intp]]:
    """Distinct values of a column, and for each row the index of its value.

    A row without a value has the index len(values). Unused entries of a dictionary are left out.
    """
    if not pa.types.is_dictionary(column.type):
        return column, np.arange(len(column))
    codes = pc.fill_null(pc.cast(column.indices, pa.int64()), -1).to_numpy(zero_copy_only=False)
    used = np.unique(codes[codes >= 0])
    rows = np.where(codes < 0, len(used), np.searchsorted(used, codes))
    return column.dictionary.take(pa.array(used)), rows


def texts(column: pa.Array, name: str) -> npt.NDArray[np.object_]:
    """(N,) texts, None for a missing one; equal ones of a dictionary are held once.

    Raises:
        UserError: The column is of a type that names nothing, or holds bytes that are no text, or
            fractions.
    """
    values, rows = distinct(column)
    if _is_classification(values.type):
        values = _names_within(values)
    if is_fractional(values.type):
        values = _whole(values)
    if not is_name(values.type):
        raise UserError(f"Its column {name} holds no names but {column.type}.")
    try:
        shown = pc.cast(values, pa.binary() if is_bytes(values.type) else pa.large_string())
        shown = pc.cast(shown, pa.large_string()).to_pylist()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"Its column {name} holds bytes that are no text.") from error
    return np.array([*shown, None], dtype=object)[rows]


def _whole(values: pa.Array) -> pa.Array:
    """Floating-point values as whole numbers, or as they are if one has a fraction."""
    doubles = pc.cast(values, pa.float64())
    known = pc.if_else(pc.is_nan(doubles), pa.scalar(None, pa.float64()), doubles)
    try:
        return pc.cast(known, pa.int64())
    except pa.ArrowInvalid:
        return values


def numbers(column: pa.Array, name: str) -> npt.NDArray[np.float64]:
    """(N,) numbers, NaN for a missing one.

    Raises:
        UserError: The column is of another type.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if not is_number(column.type):
        shown = f", such as {column[0].as_py()!r:.40}" if len(column) else ""
        raise UserError(f"Its column {name} holds no numbers for a table but {column.type}{shown}.")
    # Decimals and integers beyond 2**53 are rounded as any number in a float column is.
    result: npt.NDArray[np.float64] = pc.cast(column, pa.float64(), safe=False).to_numpy(
        zero_copy_only=False
    )
    return result


def is_words(column: pa.Array) -> bool:
    """Whether a column holds texts and none of them is a number."""
    values, _ = distinct(column)
    if not is_text(values.type):
        return False
    shown = pc.cast(values, pa.large_string()).drop_null()
    return len(shown) > 0 and not pc.any(pc.match_substring_regex(shown, r"^\s*[0-9.+-]+$")).as_py()


def whole_numbers(column: pa.Array, name: str) -> npt.NDArray[Any]:
    """(N,) whole numbers, exact.

    Raises:
        UserError: One is missing, or the column is of another type.
    """
    if column.null_count:
        raise UserError(f"It holds a nucleus with an empty cell in the column {name}.")
    if pa.types.is_integer(column.type):
        result: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return result
    return numbers(column, name)
