"""Edits of classes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import numpy as np

from muse_core.errors import UserError
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.store import labels, predictions
from muse_core.nuclei.store.class_rules import read_scheme
from muse_core.nuclei.store.edits import Edit, NucleusChanges
from muse_core.nuclei.store.rows import STORED_ROW, Change, read_row, take_ids


def class_ids(connection: sqlite3.Connection) -> dict[str, int]:
    """Id of each class by its name, in order."""
    return dict(connection.execute("SELECT name, id FROM classes ORDER BY position, id").fetchall())


def id_of_class(connection: sqlite3.Connection, name_or_id: str | int) -> int:
    """Id of a class by its name or its id; raises UserError where there is none."""
    known = class_ids(connection)
    if isinstance(name_or_id, str):
        if name_or_id not in known:
            read_scheme(connection).index(name_or_id)
        return known[name_or_id]
    if int(name_or_id) not in known.values():
        raise UserError(f"There is no class with the id {int(name_or_id)}.")
    return int(name_or_id)


def new_class_edit(connection: sqlite3.Connection, new: NucleusClass) -> Edit:
    """A new class after the others."""
    ClassScheme((*read_scheme(connection).classes, new))
    number = take_ids(connection, "classes", 1)
    change = Change("classes", number, None, (new.name, new.color, new.key, number))
    return Edit(labels.new_class(new.name), changes=(change,))


def changed_classes_edit(connection: sqlite3.Connection, new: Mapping[str, NucleusClass]) -> Edit:
    """Classes with other names, colours or keys, by the names that they had."""
    ClassScheme(tuple(new.get(c.name, c) for c in read_scheme(connection).classes))
    changes = []
    for name, entry in new.items():
        number = id_of_class(connection, name)
        before = read_row(connection, "classes", number)
        after = (entry.name, entry.color, entry.key, before[3])
        if after != before:
            changes.append(Change("classes", number, before, after))
    return Edit(labels.changed_classes(list(new)), changes=tuple(changes))


def merged_classes_edit(connection: sqlite3.Connection, gone: str, into: str) -> Edit:
    """Return the edit that gives all nuclei of one class another, and removes the first."""
    source, target = id_of_class(connection, gone), id_of_class(connection, into)
    if source == target:
        raise UserError("A class cannot be merged into itself.")
    found = connection.execute(
        f"SELECT {', '.join(STORED_ROW.names or ())} FROM nuclei WHERE class_id = ? ORDER BY id",
        (source,),
    )
    before = np.fromiter(found, dtype=STORED_ROW)
    after = before.copy()
    after["class_id"] = target
    changes = [Change("classes", source, read_row(connection, "classes", source), None)]
    relabelled = predictions.merge_class(connection, source, target)
    if relabelled is not None:
        changes.append(predictions.going_live(connection, relabelled))
    label = labels.merged_classes(gone, into, len(before))
    return Edit(label, NucleusChanges.to(before, after), tuple(changes))
