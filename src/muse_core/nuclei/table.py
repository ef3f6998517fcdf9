"""NucleusTable: a pandas DataFrame with a fixed schema, checked at the borders.

Coordinates are level-0 pixels, float, x to the right and y down, with the origin at the top-left
corner of the top-left pixel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.naming import fault_of_name

NUCLEUS_COLUMNS = ("id", "x", "y", "class_name", "score", "status", "model")
FARTHEST_PX = 2.0**31
"""Limit of coordinates: slide formats store width and height in 32 bits."""
ONE_PLACE_PX = 0.5
"""Positions closer than this are the same nucleus."""


class Status(IntEnum):
    """Review status of a nucleus; a number in stores and arrays, a word in tables."""

    PREDICTED = 0
    CONFIRMED = 1
    CORRECTED = 2
    ADDED = 3
    DELETED = 4

    @property
    def word(self) -> str:
        """Return the status as in a NucleusTable and in files."""
        return self.name.lower()


STATUSES = tuple(status.word for status in Status)
"""The words, each at the place of its number."""
CORRECTIONS = (Status.CORRECTED.word, Status.ADDED.word)
"""Words for nuclei that the model got wrong."""


def nucleus_table(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    class_name: Sequence[str] | pd.Series | str,
    score: npt.ArrayLike = 1.0,
    status: Sequence[str] | pd.Series | str = Status.PREDICTED.word,
    model: Sequence[str] | pd.Series | str = "",
    *,
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
    try:
        xs = float_values(x).reshape(-1)
        table = pd.DataFrame(
            {
                "id": np.arange(len(xs)) if ids is None else np.asarray(ids),
                "x": xs,
                "y": float_values(y).reshape(-1),
                "class_name": _texts(class_name),
                "score": np.broadcast_to(float_values(score).astype(np.float32), xs.shape),
                "status": _texts(status),
                "model": _texts(model),
            },
            index=range(len(xs)),
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"These values do not make a nucleus table: {error}.") from error
    return validate_table(table)


def float_values(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Values as floats; NaN where an array is masked, whose values there mean nothing."""
    result: npt.NDArray[np.float64] = np.ma.filled(np.ma.asarray(values, np.float64), np.nan)
    return result


def _texts(values: Sequence[str] | pd.Series | str) -> str | npt.NDArray[np.object_]:
    """Without the index of a Series, along which pandas would put the values in another order."""
    return values if isinstance(values, str) else np.asarray(values, dtype=object).reshape(-1)


def empty_table() -> pd.DataFrame:
    """A table of no nuclei with the right column types."""
    return nucleus_table([], [], [])


def validate_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with schema columns only, in order, typed; raise UserError if it cannot be.

    Raises:
        UserError: A column is missing, an id is no whole number or occurs twice, a coordinate is
            not finite or farther out than any slide reaches, a score lies outside 0 to 1, a status
            is unknown, a class is blank, or its name or a model's is too long or no text.
    """
    missing = [c for c in NUCLEUS_COLUMNS if c not in table.columns]
    if missing:
        raise UserError(f"The nucleus table lacks the column(s) {', '.join(missing)}.")
    for column in ("class_name", "status", "model"):
        values = table[column].to_numpy(dtype=object)
        if pd.api.types.infer_dtype(values, skipna=False) not in ("string", "empty"):
            raise UserError(f"The nucleus table holds a {column} that is not a text.")
    try:
        ids = table["id"].to_numpy()
        typed = pd.DataFrame(
            {
                "id": ids.astype(np.int64),
                "x": table["x"].to_numpy(dtype=np.float64),
                "y": table["y"].to_numpy(dtype=np.float64),
                "class_name": table["class_name"].to_numpy(dtype=object),
                "score": table["score"].to_numpy(dtype=np.float32),
                "status": table["status"].to_numpy(dtype=object),
                "model": table["model"].to_numpy(dtype=object),
            }
        )
        whole = bool((typed["id"].to_numpy() == ids).all())
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"The nucleus table holds a value of the wrong type: {error}.") from error
    if not whole:
        raise UserError("The nucleus table holds an id that is not a whole number.")
    _check_values(typed)
    return typed


def valid_parts(parts: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Each table as :func:`validate_table` returns it; an empty one where there is none."""
    none = True
    for part in parts:
        yield validate_table(part)
        none = False
    if none:
        yield empty_table()


def _check_values(table: pd.DataFrame) -> None:
    xy, score = np.stack([table["x"], table["y"]]), table["score"].to_numpy()
    if not np.isfinite(xy).all():
        raise UserError("The nucleus table holds a coordinate that is not a number.")
    if (np.abs(xy) > FARTHEST_PX).any():
        raise UserError("The nucleus table holds a coordinate farther out than any slide reaches.")
    if not np.isfinite(score).all():
        raise UserError("The nucleus table holds a score that is not a number.")
    if ((score < 0.0) | (score > 1.0)).any():
        raise UserError("The nucleus table holds a score that is not between 0 and 1.")
    unknown = sorted(set(table["status"].unique()) - set(STATUSES))
    if unknown:
        raise UserError(f"Unknown status {unknown[0]!r}; it must be one of {', '.join(STATUSES)}.")
    if not all(name.strip() for name in table["class_name"].unique()):
        raise UserError("The nucleus table holds a nucleus without a class.")
    for column, noun in (("class_name", "class"), ("model", "model")):
        for fault in filter(None, map(fault_of_name, table[column].unique())):
            raise UserError(f"The nucleus table holds the name of a {noun} {fault}.")
    if table["id"].duplicated().any():
        first = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise UserError(f"The nucleus table holds the id {first} twice.")
