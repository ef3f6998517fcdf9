"""Nuclei as CSV: pixels and microns side by side, readable by any spreadsheet."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from muse_core.errors import UserError
from muse_core.files import replacing
from muse_core.nuclei.table import nucleus_table, validate_table

CSV_COLUMNS = ("id", "x_px", "y_px", "x_um", "y_um", "class", "score", "status", "model")
_REQUIRED = ("x_px", "y_px", "class")


def write_csv(table: pd.DataFrame, path: str | Path, mpp: float) -> None:
    """Write nuclei to CSV; an older file is replaced only once the new one is complete.

    Args:
        table: NucleusTable, level-0 pixels.
        path: Target file.
        mpp: Microns per level-0 pixel, for the columns x_um and y_um.

    Raises:
        UserError: The table is not a NucleusTable, mpp is not above 0, or the file cannot be
            written.
    """
    if not math.isfinite(mpp) or mpp <= 0:
        raise UserError(f"Microns per pixel must be above 0, got {mpp:g}.")
    table = validate_table(table)
    out = pd.DataFrame(
        {
            "id": table["id"],
            "x_px": table["x"].round(3),
            "y_px": table["y"].round(3),
            "x_um": (table["x"] * mpp).round(4),
            "y_um": (table["y"] * mpp).round(4),
            "class": table["class_name"],
            "score": table["score"].astype(np.float64).round(5),
            "status": table["status"],
            "model": table["model"],
        },
        columns=list(CSV_COLUMNS),
    )
    with replacing(path) as partial:
        out.to_csv(partial, index=False, encoding="utf-8")


def read_csv(path: str | Path) -> pd.DataFrame:
    """Read nuclei from a CSV file written by :func:`write_csv` or by hand.

    Only x_px, y_px and class are needed; what else is missing gets the defaults of a new table.

    Returns:
        NucleusTable in level-0 pixels.

    Raises:
        UserError: The file is missing, not CSV, lacks a column, or holds a bad value.
    """
    source = Path(path)
    if not source.is_file():
        raise UserError(f"There is no file {source}.")
    try:
        # Left to itself pandas takes classes called "NA", "None" or "null" for missing values.
        raw = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{source.name} is not a readable CSV file.") from error
    missing = [c for c in _REQUIRED if c not in raw.columns]
    if missing:
        raise UserError(f"{source.name} lacks the column(s) {', '.join(missing)}.")
    try:
        return nucleus_table(
            pd.to_numeric(raw["x_px"]),
            pd.to_numeric(raw["y_px"]),
            raw["class"],
            score=pd.to_numeric(raw["score"].replace("", "1")) if "score" in raw else 1.0,
            status=raw["status"].replace("", "predicted") if "status" in raw else "predicted",
            model=raw.get("model", ""),
            ids=pd.to_numeric(raw["id"]) if "id" in raw else None,
        )
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{source.name} holds a value that is not a number: {error}.") from error


def csv_mpp(path: str | Path) -> float | None:
    """Microns per pixel behind a file of :func:`write_csv`, or None where it has not both.

    Its first thousand rows are compared; six digits of the result count.
    """
    try:
        raw = pd.read_csv(path, usecols=["x_px", "x_um", "y_px", "y_um"], nrows=1000)
        px = float(raw["x_px"].abs().sum() + raw["y_px"].abs().sum())
        um = float(raw["x_um"].abs().sum() + raw["y_um"].abs().sum())
    except (ValueError, TypeError, OSError):
        return None
    return float(f"{um / px:.6g}") if 0 < px < math.inf and 0 < um < math.inf else None
