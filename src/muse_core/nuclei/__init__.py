"""Nuclei as points: tables, classes, annotation stores and file formats."""

from __future__ import annotations

from muse_core.nuclei.formats.csv import (
    CSV_COLUMNS,
    CSV_SUFFIXES,
    is_nucleus_csv,
    read_csv,
    write_csv,
)
from muse_core.nuclei.formats.registry import (
    NUCLEUS_SUFFIXES,
    WRITABLE_SUFFIXES,
    dialog_filter,
    is_nucleus_file,
    read_nuclei,
    read_nuclei_here,
    write_nuclei,
    write_nuclei_parts,
)
from muse_core.nuclei.nucleus_file import NucleusFile
from muse_core.nuclei.placing import placed_on_slide
from muse_core.nuclei.regions import NamedRegion
from muse_core.nuclei.scheme import ClassScheme, NucleusClass
from muse_core.nuclei.table import (
    NUCLEUS_COLUMNS,
    STATUSES,
    Status,
    empty_table,
    nucleus_table,
    validate_table,
)

__all__ = [
    "CSV_COLUMNS",
    "CSV_SUFFIXES",
    "NUCLEUS_COLUMNS",
    "NUCLEUS_SUFFIXES",
    "STATUSES",
    "WRITABLE_SUFFIXES",
    "ClassScheme",
    "NamedRegion",
    "NucleusClass",
    "NucleusFile",
    "Status",
    "dialog_filter",
    "empty_table",
    "is_nucleus_csv",
    "is_nucleus_file",
    "nucleus_table",
    "placed_on_slide",
    "read_csv",
    "read_nuclei",
    "read_nuclei_here",
    "validate_table",
    "write_csv",
    "write_nuclei",
    "write_nuclei_parts",
]
