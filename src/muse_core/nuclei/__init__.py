"""The points: tables of nuclei, their classes, and their file formats."""

from __future__ import annotations

from muse_core.nuclei.csv import CSV_COLUMNS, read_csv, write_csv
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.table import (
    NUCLEUS_COLUMNS,
    STATUSES,
    empty_table,
    nucleus_table,
    validate_table,
)

__all__ = [
    "CSV_COLUMNS",
    "NUCLEUS_COLUMNS",
    "STATUSES",
    "ClassScheme",
    "NucleusClass",
    "empty_table",
    "nucleus_table",
    "read_csv",
    "validate_table",
    "write_csv",
]
