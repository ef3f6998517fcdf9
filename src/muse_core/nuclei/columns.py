"""Nuclei from named columns, of our own files and of others'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.nucleus_file import (
    UNCLASSIFIED,
    NucleusFile,
    check_classes,
    facts_from_json,
)
from muse_core.nuclei.qupath import CLASS_KEYS
from muse_core.nuclei.table import nucleus_table

_OURS = ("id", "class_name", "score", "status", "model")


def nuclei_from_columns(
    xy: npt.NDArray[np.float64], columns: Mapping[str, npt.NDArray[Any]], facts: object
) -> NucleusFile:
    """Nuclei of a file that keeps positions apart from the other columns.

    Args:
        xy: (N, 2) positions.
        columns: (N,) each, by name.
        facts: What napari-muse has noted in the file. Without it the file is another program's: its
            positions are taken as level-0 pixels, and only a column of classes is looked for.

    Raises:
        UserError: A file of ours lacks a column, or a value does not fit the schema.
    """
    if facts is None:
        return _foreign(xy, columns)
    missing = [name for name in _OURS if name not in columns]
    if missing:
        raise UserError(f"It lacks the column(s) {', '.join(missing)}.")
    scheme, mpp, regions = facts_from_json(facts)
    table = nucleus_table(
        xy[:, 0],
        xy[:, 1],
        columns["class_name"].tolist(),
        score=columns["score"],
        status=columns["status"].tolist(),
        model=columns["model"].tolist(),
        ids=columns["id"],
    )
    return NucleusFile(table, scheme, mpp, regions)


def _foreign(xy: npt.NDArray[np.float64], columns: Mapping[str, npt.NDArray[Any]]) -> NucleusFile:
    notes = ["Positions were taken as pixels of the full resolution."]
    by_name = {name.lower(): values for name, values in columns.items()}
    key = next((key for key in CLASS_KEYS if key in by_name), None)
    if key is None:
        notes.append(f"No column names the classes; these are looked for: {', '.join(CLASS_KEYS)}.")
        return NucleusFile(nucleus_table(xy[:, 0], xy[:, 1], UNCLASSIFIED), notes=tuple(notes))
    names = [UNCLASSIFIED if pd.isna(v) or v == "" else str(v) for v in by_name[key].tolist()]
    check_classes(len(set(names)), f"The column {key!r}")
    unnamed = names.count(UNCLASSIFIED)
    if unnamed:
        notes.append(f"{unnamed:,} nuclei without a class are now {UNCLASSIFIED!r}.")
    return NucleusFile(nucleus_table(xy[:, 0], xy[:, 1], names), notes=tuple(notes))
