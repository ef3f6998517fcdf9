"""Serialise the changes of an edit for the journal."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.nuclei.store.edits import NucleusChanges
from muse_core.nuclei.store.rows import COLUMNS, EDITED, STORED_ROW, Change, NucleusRows
from muse_core.nuclei.table import Status

# A journal is read from files others may have made. This is more than three million nuclei in one
# edit.
_MAX_BYTES = 1 << 28
_ARRAYS = b"\x02"
"""First byte of entries since version 5 of the file; earlier entries are compressed JSON."""
_LENGTH = struct.Struct("<I")
_ROW = tuple(name for name in STORED_ROW.names or () if name != "id")
_DAMAGED = "The journal of this annotation store is damaged."


def pack_changes(nuclei: NucleusChanges, changes: Sequence[Change]) -> bytes:
    """Changes of nuclei and of other rows as compressed arrays and JSON.

    Raises:
        UserError: They are too many to be read again.
    """
    stay = nuclei.existed & nuclei.exists
    altered = [n for n in EDITED if (nuclei.before[n][stay] != nuclei.after[n][stay]).any()]
    rows = [[c.table, c.id, c.before, c.after] for c in changes]
    head = json.dumps([rows, len(nuclei), altered], separators=(",", ":")).encode()
    parts = [_LENGTH.pack(len(head)), head]
    parts += [_bytes(nuclei.ids), _bytes(nuclei.existed), _bytes(nuclei.exists)]
    for array, which, names in _columns(nuclei, altered):
        parts += [_bytes(array[name][which]) for name in names]
    raw = b"".join(parts)
    if len(raw) > _MAX_BYTES:
        raise UserError("This changes too much at once; do it in parts.")
    return _ARRAYS + zlib.compress(raw, level=1)


def unpack_changes(blob: bytes) -> tuple[NucleusChanges, tuple[Change, ...]]:
    """The inverse of :func:`pack_changes`; reads the entries of older files too.

    Raises:
        UserError: The entry is damaged.
    """
    try:
        if blob[:1] == _ARRAYS:
            nuclei, changes = _read_arrays(_decompressed(blob[1:]))
        else:
            nuclei, changes = _read_json(_decompressed(blob))
    except (zlib.error, struct.error, LookupError, ArithmeticError, RecursionError) as error:
        raise UserError(_DAMAGED) from error
    except (TypeError, ValueError) as error:
        raise UserError(_DAMAGED) from error
    for rows, there in ((nuclei.before, nuclei.existed), (nuclei.after, nuclei.exists)):
        finite = np.isfinite(rows["x"]) & np.isfinite(rows["y"]) & np.isfinite(rows["score"])
        if not (finite & (rows["status"] < len(Status)))[there].all():
            raise UserError(_DAMAGED)
    return nuclei, changes


def _columns(
    nuclei: NucleusChanges, altered: Sequence[str]
) -> Iterator[tuple[NucleusRows, npt.NDArray[np.bool_], Sequence[str]]]:
    """The parts of the rows that are written: array, mask of nuclei, and columns."""
    stay = nuclei.existed & nuclei.exists
    yield nuclei.before, nuclei.existed & ~stay, _ROW
    yield nuclei.after, nuclei.exists & ~stay, _ROW
    yield nuclei.before, stay, EDITED
    yield nuclei.after, stay, altered


def _bytes(array: npt.NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _decompressed(blob: bytes) -> bytes:
    stream = zlib.decompressobj()
    raw = stream.decompress(blob, _MAX_BYTES)
    if stream.unconsumed_tail:
        raise ValueError("too large")
    return raw


def _read_arrays(raw: bytes) -> tuple[NucleusChanges, tuple[Change, ...]]:
    (length,) = _LENGTH.unpack_from(raw)
    start = _LENGTH.size + length
    rows, count, altered = json.loads(raw[_LENGTH.size : start])
    if not isinstance(count, int) or count < 0 or set(altered) - set(EDITED):
        raise ValueError("no such columns")
    reader = _Reader(raw, start)
    ids = reader.take(np.int64, count)
    existed, exists = reader.take(np.bool_, count), reader.take(np.bool_, count)
    before = np.zeros(count, dtype=STORED_ROW)
    before["id"] = ids
    after = before.copy()
    nuclei = NucleusChanges(before, after, existed, exists)
    for array, which, names in _columns(nuclei, altered):
        if names is altered:
            stay = np.flatnonzero(which)
            for name in EDITED:
                array[name][stay] = before[name][stay]
        for name in names:
            array[name][which] = reader.take(STORED_ROW[name], int(which.sum()))
    reader.require_end()
    return nuclei, _read_rows(rows)


class _Reader:
    """Takes one array after the other from bytes."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw, self._at = raw, at

    def take(self, dtype: Any, count: int) -> npt.NDArray[Any]:
        """(count,) the next array; raises ValueError where the bytes end before."""
        kind = np.dtype(dtype).newbyteorder("<")
        end = self._at + count * kind.itemsize
        if end > len(self._raw):
            raise ValueError("cut")
        found = np.frombuffer(self._raw, kind, count, self._at).astype(dtype)
        self._at = end
        return found

    def require_end(self) -> None:
        """Raises ValueError where there is more."""
        if self._at != len(self._raw):
            raise ValueError("too long")


def _read_json(text: bytes) -> tuple[NucleusChanges, tuple[Change, ...]]:
    """Entries of files before version 5, where each nucleus is a row of JSON."""
    rows = json.loads(text)
    nuclei = [row for row in rows if row[0] == "nuclei"]
    before, existed = _old_rows([(row[1], row[2]) for row in nuclei])
    after, exists = _old_rows([(row[1], row[3]) for row in nuclei])
    others = _read_rows([row for row in rows if row[0] != "nuclei"])
    return NucleusChanges(before, after, existed, exists), others


def _old_rows(rows: Sequence[tuple[Any, Any]]) -> tuple[NucleusRows, npt.NDArray[np.bool_]]:
    unknown = [np.nan] * (len(_ROW) - len(EDITED))
    array = np.zeros(len(rows), dtype=STORED_ROW)
    for at, (number, row) in enumerate(rows):
        array["id"][at] = number
        if row is None:
            continue
        if len(row) not in (len(EDITED), len(_ROW)):
            raise ValueError("no such row")
        whole = [*row, *unknown][: len(_ROW)]
        array[at] = (number, *(np.nan if value is None else value for value in whole))
    return array, np.array([row is not None for _, row in rows], dtype=bool)


def _read_rows(rows: Sequence[Any]) -> tuple[Change, ...]:
    changes = []
    for table, number, before, after in rows:
        widths = {len(row) for row in (before, after) if row is not None}
        if widths - {len(COLUMNS[table])}:
            raise ValueError("no such row")
        changes.append(
            Change(
                str(table),
                int(number),
                None if before is None else tuple(before),
                None if after is None else tuple(after),
            )
        )
    return tuple(changes)
