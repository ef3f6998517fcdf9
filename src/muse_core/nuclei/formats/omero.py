"""ROIs as OMERO's script "Batch ROI Export" writes them into a CSV file, one row per channel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from muse_core.nuclei.counted import counted
from muse_core.tables import Column, CsvTable

OMERO_COLUMNS = {
    "shape_id": Column(("shape_id",), needed=False),
    "shape_text": Column(("text",), needed=False),
}
_CENTRED = ("point", "ellipse", "label")
_SIDES = ("width", "height")


def from_omero(raw: CsvTable) -> CsvTable:
    """Return the points and ellipses of a table of ROIs, whose texts are their classes.

    Their column "type" names shapes. X and Y of a rectangle are its corner, and others have none.

    Args:
        raw: Of any file; unchanged unless it is one of OMERO.
    """
    if any(key not in raw for key in (*OMERO_COLUMNS, "class")):
        return raw
    kinds = raw.cells["class"].str.strip().str.lower().to_numpy(dtype=object)
    centred = np.isin(kinds, _CENTRED)
    cells = {key: column for key, column in raw.cells.items() if key not in _SIDES}
    known = replace(raw, cells={**cells, "class": raw.cells["shape_text"]})
    known = replace(known, headings={k: v for k, v in raw.headings.items() if k not in _SIDES})
    if centred.all():
        return known
    rows = counted(int((~centred).sum()), "row", "rows")
    return known.where(centred, f"Left out of other shapes than points and ellipses: {rows}.")
