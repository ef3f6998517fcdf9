"""Import the nuclei, regions and classes of a file as one edit, inside the caller's transaction.

Unlike a detection, an import can be undone as a whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from muse_core.nuclei.scheme import NucleusClass
from muse_core.nuclei.store import labels
from muse_core.nuclei.store.edits import Edit, NucleusChanges
from muse_core.nuclei.store.ingest import rows_of_table
from muse_core.nuclei.store.predictions import live_classes
from muse_core.nuclei.store.rows import Change, Row, nucleus_rows, take_ids


@dataclass(frozen=True)
class Takeover:
    """Content of a file that is taken over into a store.

    Attributes:
        table: NucleusTable of the new nuclei; their classes are the store's or new ones.
        classes: New classes, to be appended.
        regions: Rows of regions.
        replaced: Ids of the nuclei that those of the table replace.
        instead: Whether to remove existing classes that no nucleus has.
    """

    table: pd.DataFrame
    classes: Sequence[NucleusClass] = ()
    regions: Sequence[Row] = ()
    replaced: Sequence[int] = ()
    instead: bool = False


def takeover_edit(connection: sqlite3.Connection, file: Takeover) -> Edit:
    """The edit that imports a file; the new nuclei are in the order of the table.

    Raises:
        UserError: The store lacks a class of the table.
    """
    first = take_ids(connection, "classes", len(file.classes))
    new = {first + i: (c.name, c.color, c.key, first + i) for i, c in enumerate(file.classes)}
    changes = [Change("classes", number, None, row) for number, row in new.items()]
    unused = _unused_classes(connection) if file.instead and new else {}
    changes += [Change("classes", number, row, None) for number, row in unused.items()]
    gone = NucleusChanges.going(nucleus_rows(connection, np.asarray(file.replaced, np.int64)))
    names = {str(row[0]): number for number, row in new.items()}
    come = NucleusChanges.coming(rows_of_table(connection, file.table, names))
    first = take_ids(connection, "regions", len(file.regions))
    changes += [Change("regions", first + i, None, row) for i, row in enumerate(file.regions)]
    return Edit(labels.takeover(len(file.table), len(file.regions)), gone + come, tuple(changes))


def _unused_classes(connection: sqlite3.Connection) -> dict[int, Row]:
    rows = connection.execute(
        "SELECT id, name, color, key, position FROM classes"
        " WHERE id NOT IN (SELECT class_id FROM nuclei)"
    )
    live = live_classes(connection)
    return {row[0]: tuple(row[1:]) for row in rows if row[0] not in live}
