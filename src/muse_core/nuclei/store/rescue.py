"""Rescue what can be read of a damaged store into a new one.

A failing disk, a power cut or a program that synchronises folders may damage a store anywhere. A
damaged page of 4 kB holds about a hundred nuclei; all others are as good as before.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from muse_core.errors import UserError, cannot
from muse_core.nuclei.outlines import read_vertices
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.store import holdout
from muse_core.nuclei.store.database import Database
from muse_core.nuclei.store.legible_rows import LegibleRows
from muse_core.nuclei.store.locate import STORE_SUFFIX
from muse_core.nuclei.store.predictions import read_revision
from muse_core.nuclei.store.reader import ODD_ROWS
from muse_core.nuclei.store.rows import Row
from muse_core.nuclei.store.spatial_index import ensure_squares
from muse_core.nuclei.store.store import AnnotationStore
from muse_core.nuclei.table import Status
from muse_core.ordinary import temporary_folder

_PREDICTIONS = ("prediction_arrays", "predictions", "live_predictions")
_NUMBERED = {"nuclei": "id", "regions": "id", "classes": "id", "predictions": "revision"}
"""Tables whose next id is stored, with the column of the id."""
_MOST_IDS = 1 << 48
_MOST_PX = 1e9
"""Nuclei farther away lie on no slide."""
_UNREADABLE = (sqlite3.Error, UserError, *ODD_ROWS)


@dataclass(frozen=True)
class Rescue:
    """What was rescued.

    Attributes:
        nuclei: How many, including those that a person has deleted.
        regions: How many.
        classes: How many.
        notes: Sentences for the user about what is missing.
    """

    nuclei: int
    regions: int
    classes: int
    notes: tuple[str, ...]


def rescue_store(damaged: Path, out: Path) -> Rescue:
    """Write what can be read of a damaged store to a new one, without the history of edits.

    Args:
        damaged: The store, which is not changed.
        out: The new store.

    Raises:
        UserError: There is no such file, it is no store, nothing of it can be read, or the new one
            cannot be written or is not named as stores are.
    """
    if out.suffix.lower() != STORE_SUFFIX:
        raise UserError(f"Cannot write {out}: the name of annotations ends in {STORE_SUFFIX}.")
    notes: list[str] = []
    with _copied(damaged) as copy, closing(LegibleRows(copy, damaged.name)) as old:
        if old.holds_code or not old.columns("nuclei"):
            raise UserError(f"{damaged.name} is not an annotation store of napari-muse.")
        Database(out, create=True, fill=lambda new: notes.extend(_fill(old, new))).close()
    with AnnotationStore.open(out, read_only=True) as store:
        found = len(store.rows()), len(store.regions()), len(store.classes.classes)
    return Rescue(*found, tuple(notes))


@contextmanager
def _copied(store: Path) -> Iterator[Path]:
    """Context with a copy of a store and of the log of its last edits."""
    if not store.is_file():
        raise UserError(f"There is no annotation store {store}.")
    folder = temporary_folder(f"Cannot read {store}")
    with tempfile.TemporaryDirectory(prefix="muse-", dir=folder) as scratch:
        copy = Path(scratch) / "copy"
        try:
            shutil.copyfile(store, copy)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(store.with_name(f"{store.name}-wal"), Path(scratch) / "copy-wal")
        except OSError as error:
            raise cannot("read", store, error) from error
        yield copy


def _fill(old: LegibleRows, new: sqlite3.Connection) -> list[str]:
    """Copy what is readable and sound into new tables; returns sentences about what is missing."""
    next_ids = _next_ids(old)
    new.execute("INSERT INTO slide VALUES (?, ?, ?)", _identity(old))
    for table in ("annotators", "models", "class_alias"):
        _copy(old, new, table)
    unsound = {
        "nuclei": _copy(old, new, "nuclei", _is_nucleus, next_ids["nuclei"]),
        "regions": _copy(
            old, new, "regions", partial(_is_area, flag="reviewed"), next_ids["regions"]
        ),
    }
    _copy(old, new, "hold_out", partial(_is_area, flag="held"))
    unnamed = _bring_classes(old, new)
    _name_models(new)
    relearnt = _bring_predictions(old, new)
    places = np.array(new.execute("SELECT x, y FROM nuclei").fetchall(), np.float64).reshape(-1, 2)
    ensure_squares(new, places[:, 0], places[:, 1])
    holdout.decide(new)
    for table, key in _NUMBERED.items():
        highest = int(new.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0])
        value = max(highest + 1, next_ids[table] or 1)
        new.execute("UPDATE next_id SET value = ? WHERE name = ?", (value, table))
    lost = {table: count + old.illegible.get(table, 0) for table, count in unsound.items()}
    notes = [f"About {n:,} {table} could not be read." for table, n in lost.items() if n]
    if unnamed:
        notes.append(f"The names of {unnamed} class(es) could not be read; rename them.")
    if not relearnt:
        notes.append("What relearning gave could not be read: the classes are those detected.")
    return notes


def _rows(old: LegibleRows, table: str, columns: Sequence[str]) -> list[Row]:
    """Readable rows of a table that has all the columns; none of other tables."""
    known = set(columns) <= set(old.columns(table))
    return list(old.rows(table, columns)) if known else []


def _next_ids(old: LegibleRows) -> dict[str, int | None]:
    """By table the id of the next new row, None where it cannot be read."""
    found: dict[Any, Any] = dict(_rows(old, "next_id", ("name", "value")))
    stored = {table: found.get(table) for table in _NUMBERED}
    return {t: n if isinstance(n, int) and 0 < n < _MOST_IDS else None for t, n in stored.items()}


def _copy(
    old: LegibleRows,
    new: sqlite3.Connection,
    table: str,
    is_sound: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    next_id: int | None = None,
) -> int:
    """Copy the sound rows of a table; returns the number of the others."""
    there = [name for _, name, *_ in new.execute(f"PRAGMA table_info({table})")]
    columns = [name for name in there if name in old.columns(table)]
    if not columns:
        return 0
    places = ", ".join("?" * len(columns))
    insert = f"INSERT OR IGNORE INTO {table}({', '.join(columns)}) VALUES ({places})"
    unsound = 0
    for row in old.rows(table, columns, None if next_id is None else next_id - 1):
        try:
            sound = is_sound(dict(zip(columns, row, strict=True)))
            unsound += not (sound and new.execute(insert, row).rowcount)
        except _UNREADABLE:
            unsound += 1
    return unsound


def _identity(old: LegibleRows) -> Row:
    """Name, size and fingerprint of the slide; empty ones where they cannot be read."""
    found = _rows(old, "slide", ("name", "size_bytes", "fingerprint"))
    sound = found and all(map(isinstance, found[0], (str, int, str)))
    return found[0] if sound else ("", 0, "")


def _is_nucleus(row: Mapping[str, Any]) -> bool:
    far = max(abs(row["x"]), abs(row["y"])) > _MOST_PX
    return not far and 0 <= row["status"] < len(Status) and 0 < row["class_id"] < _MOST_IDS


def _is_area(row: Mapping[str, Any], flag: str) -> bool:
    """Whether a row has an outline, and a flag that is set or not."""
    return bool(read_vertices(row["vertices"])) and row[flag] in (0, 1)


def _bring_classes(old: LegibleRows, new: sqlite3.Connection) -> int:
    """Copy the classes and add those that only nuclei refer to; returns how many these are."""
    kept: dict[int, NucleusClass] = {}
    columns = ("position", "id", "name", "color", "key")
    for row in sorted(_rows(old, "classes", columns), key=_position):
        with contextlib.suppress(*_UNREADABLE):
            scheme = ClassScheme((*kept.values(), NucleusClass(*row[2:])))
            kept[int(row[1])] = scheme.classes[-1]
    used = {number for (number,) in new.execute("SELECT DISTINCT class_id FROM nuclei")}
    if not used and not kept:
        used = {1}  # a store has a class
    missing = sorted(used - set(kept))
    scheme = ClassScheme(tuple(kept.values())).extended(f"class {number}" for number in missing)
    numbers = (*kept, *missing)
    new.executemany(
        "INSERT INTO classes VALUES (?, ?, ?, ?, ?)",
        [
            (number, c.name, c.color, c.key, position)
            for position, (number, c) in enumerate(zip(numbers, scheme.classes, strict=True))
        ],
    )
    return len(missing)


def _position(row: Row) -> int:
    """The place of a class among the others; the last where it is no number."""
    return row[0] if isinstance(row[0], int) else _MOST_IDS


def _name_models(new: sqlite3.Connection) -> None:
    """Give models a name whose own could not be read."""
    query = "SELECT DISTINCT model_id FROM nuclei WHERE model_id NOT IN (SELECT id FROM models)"
    for (number,) in new.execute(query).fetchall():
        new.execute("INSERT INTO models VALUES (?, ?)", (number, f"unknown model {number}"))


def _bring_predictions(old: LegibleRows, new: sqlite3.Connection) -> bool:
    """Copy the live predictions; returns whether all that there were can be read."""
    live = _rows(old, "live_predictions", ("revision",))
    if not live:
        return not old.illegible.get("live_predictions")
    for table in _PREDICTIONS:
        _copy(old, new, table)
    try:
        known = {number for (number,) in new.execute("SELECT id FROM classes")}
        if set(read_revision(new, live[0][0]).class_ids.tolist()) <= known:
            return True
    except _UNREADABLE:
        pass
    for table in _PREDICTIONS:
        new.execute(f"DELETE FROM {table}")
    return False
