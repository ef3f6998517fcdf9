"""NucleusTable: a pandas DataFrame with a fixed schema, checked at the borders.

Coordinates are level-0 pixels, float, x to the right and y down, with the origin at the top-left
corner of the top-left pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError

NUCLEUS_COLUMNS = ("id", "x", "y", "class_name", "score", "status", "model")
STATUSES = ("predicted", "confirmed", "corrected", "added", "deleted")


def nucleus_table(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    class_name: Sequence[str] | str,
    score: npt.ArrayLike = 1.0,
    status: Sequence[str] | str = "predicted",
    model: Sequence[str] | str = "",
    ids: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Build a table of N nuclei; scalars are repeated for every row.

    Args:
        x: Horizontal positions, level-0 pixels, shape (N,).
        y: Vertical positions, level-0 pixels, shape (N,).
        class_name: Class of each nucleus.
        score: Detection confidence, 0 to 1.
        status: One of :data:`STATUSES` for each nucleus.
        model: Name of the model that found it, "" for a person.
        ids: Whole numbers, unique; counted from 0 when left out.

    Raises:
        UserError: A value does not fit the schema.
    """
    xs = np.asarray(x, dtype=np.float64).reshape(-1)
    table = pd.DataFrame(
        {
            "id": np.arange(len(xs)) if ids is None else np.asarray(ids),
            "x": xs,
            "y": np.asarray(y, dtype=np.float64).reshape(-1),
            "class_name": class_name,
            "score": np.broadcast_to(np.asarray(score, dtype=np.float32), xs.shape),
            "status": status,
            "model": model,
        },
        index=range(len(xs)),
    )
    return validate_table(table)


def empty_table() -> pd.DataFrame:
    """A table of no nuclei with the right column types."""
    return nucleus_table([], [], [])


def validate_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with schema columns only, in order, typed; raise UserError if it cannot be.

    Raises:
        UserError: A column is missing, a coordinate is not finite, a status is unknown, a class
            name is empty, or an id occurs twice.
    """
    missing = [c for c in NUCLEUS_COLUMNS if c not in table.columns]
    if missing:
        raise UserError(f"The nucleus table lacks the column(s) {', '.join(missing)}.")
    try:
        typed = pd.DataFrame(
            {
                "id": table["id"].to_numpy(dtype=np.int64),
                "x": table["x"].to_numpy(dtype=np.float64),
                "y": table["y"].to_numpy(dtype=np.float64),
                "class_name": table["class_name"].astype(str).to_numpy(dtype=object),
                "score": table["score"].to_numpy(dtype=np.float32),
                "status": table["status"].astype(str).to_numpy(dtype=object),
                "model": table["model"].astype(str).to_numpy(dtype=object),
            }
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"The nucleus table holds a value of the wrong type: {error}.") from error
    _check_values(typed)
    return typed


def _check_values(table: pd.DataFrame) -> None:
    if not np.isfinite(table[["x", "y"]].to_numpy()).all():
        raise UserError("The nucleus table holds a coordinate that is not a number.")
    if not np.isfinite(table["score"].to_numpy()).all():
        raise UserError("The nucleus table holds a score that is not a number.")
    unknown = sorted(set(table["status"]) - set(STATUSES))
    if unknown:
        raise UserError(f"Unknown status {unknown[0]!r}; it must be one of {', '.join(STATUSES)}.")
    if (table["class_name"].str.len() == 0).any():
        raise UserError("The nucleus table holds a nucleus without a class.")
    if table["id"].duplicated().any():
        first = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise UserError(f"The nucleus table holds the id {first} twice.")
