"""Nuclei as CSV: pixels and microns side by side, readable by any spreadsheet."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterable, Mapping
from io import BufferedWriter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.files import replacing
from muse_core.mpp_range import MAX_MPP, MIN_MPP
from muse_core.nuclei.formats.axes import (
    AXES_AS_PIXELS,
    axes_columns,
    is_along_axes,
    may_number_regions,
    to_corner_px,
)
from muse_core.nuclei.formats.columns import (
    NO_CLASSES,
    NUMBERED_ANEW,
    PART_KEYS,
    POSITIONS_AS_PIXELS,
    class_names,
    of_several_slides,
    probabilities,
    require_one_part,
)
from muse_core.nuclei.formats.headings import (
    CLASS_NAMES,
    SCORE_NAMES,
    positions_in_pixels,
    spellings,
)
from muse_core.nuclei.formats.omero import OMERO_COLUMNS, from_omero
from muse_core.nuclei.nucleus_file import (
    UNCLASSIFIED,
    WHOLE_SLIDE,
    NucleusFile,
    Origin,
    check_count,
    check_positive_mpp,
)
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.table import Status, nucleus_table, valid_parts
from muse_core.tables import Column, CsvTable, csv_names, read_csv_table, write_csv_rows

CSV_COLUMNS = ("id", "x_px", "y_px", "x_um", "y_um", "class", "score", "status", "model")
CSV_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PART_COLUMNS = {key: Column(spellings(key), needed=False) for key in PART_KEYS}
"""Columns that name the slide or plane of a nucleus."""
BOX_COLUMNS = {
    "width": Column(("width", "w"), needed=False),
    "height": Column(("height", "h"), needed=False),
    # ImageJ has the corner of the box apart from the centre of the outline.
    "corner": Column(("bx",), needed=False),
}
"""Columns beside which x and y may be corners of boxes."""
NUCLEUS_CSV = {
    "x_px": Column((*positions_in_pixels("x"), "x"), number=True),
    "y_px": Column((*positions_in_pixels("y"), "y"), number=True),
    "class": Column(CLASS_NAMES),
    "id": Column(("id",), number=True, needed=False),
    "score": Column(("score",), number=True, needed=False),
    # Of other programs, and so a score only where it is a number between 0 and 1.
    "probability": Column(SCORE_NAMES[1:], number=True, needed=False),
    "status": Column(("status",), needed=False),
    "model": Column(("model",), needed=False),
    "x_um": Column(("x_um",), needed=False),
    "y_um": Column(("y_um",), needed=False),
    "origin_x_px": Column(("origin_x_px",), number=True, needed=False),
    "origin_y_px": Column(("origin_y_px",), number=True, needed=False),
    "slide_content": Column(("slide_content",), needed=False),
    **PART_COLUMNS,
    **BOX_COLUMNS,
    "object_type": Column(spellings("object_type"), needed=False),
    **OMERO_COLUMNS,
}
"""Columns of a file of nuclei, and other names under which they are found."""
_ORIGIN = ("origin_x_px", "origin_y_px")
_SLIDE = ("slide", "slide_content")
_OWN = ("x_px", "y_px", "x_um", "y_um")
_WITHOUT_UNIT = ("x", "y")
_NOT_NUCLEI = ("annotation", "tile", "tma core", "root", "root object (image)", "image")
_COMPARED = 1000
_WHOLE = re.compile(r"\s*([0-9]+(\.0+)?\s*)?")


def write_csv(
    table: pd.DataFrame,
    path: str | Path,
    mpp: float,
    origin_px: Origin | None = None,
    slide: RecordedSlide | None = None,
) -> None:
    """Write nuclei to CSV; an older file is replaced only once the new one is complete.

    Args:
        table: NucleusTable, level-0 pixels.
        path: Target file; tabs instead of commas for ``.tsv``, packed for ``.gz``.
        mpp: Microns per level-0 pixel, for the columns x_um and y_um.
        origin_px: Where on the slide the positions count from; noted in columns of its own where
            that is not the slide's corner.
        slide: Which slide the nuclei are of; its name and content stand in columns of their own,
            the same in each row, so that files of several slides can be put together.

    Raises:
        UserError: The table is not a NucleusTable, mpp is not above 0, or the file cannot be
            written.
    """
    write_csv_parts([table], path, mpp, origin_px, slide)


def write_csv_parts(
    parts: Iterable[pd.DataFrame],
    path: str | Path,
    mpp: float,
    origin_px: Origin | None = None,
    slide: RecordedSlide | None = None,
) -> None:
    """Like :func:`write_csv`, for an iterable of tables, whose ids must differ."""
    check_positive_mpp(mpp)
    name = Path(path).name.lower()
    separator = "\t" if name.endswith((".tsv", ".tsv.gz")) else ","
    with replacing(path) as partial, _opened(partial, name.endswith(".gz")) as file:
        for number, table in enumerate(valid_parts(parts)):
            rows = _csv_rows(table, mpp, origin_px, slide)
            write_csv_rows(rows, file, separator, header=number == 0)


def _opened(path: Path, packed: bool) -> gzip.GzipFile | BufferedWriter:
    return gzip.open(path, "wb") if packed else path.open("wb")


def _csv_rows(
    table: pd.DataFrame, mpp: float, origin_px: Origin | None, slide: RecordedSlide | None
) -> pd.DataFrame:
    # Microns are those of the rounded pixels, so that reading and writing again changes neither.
    x_px, y_px = table["x"].round(3), table["y"].round(3)
    out = pd.DataFrame(
        {
            "id": table["id"],
            "x_px": x_px,
            "y_px": y_px,
            "x_um": (x_px * mpp).round(4),
            "y_um": (y_px * mpp).round(4),
            "class": table["class_name"],
            "score": table["score"].astype(np.float64).round(5),
            "status": table["status"],
            "model": table["model"],
        },
        columns=list(CSV_COLUMNS),
    )
    if origin_px not in (None, WHOLE_SLIDE):
        out[_ORIGIN[0]], out[_ORIGIN[1]] = origin_px
    if slide is not None:
        out[_SLIDE[0]], out[_SLIDE[1]] = slide.name, slide.content
    return out


def read_csv(path: str | Path) -> pd.DataFrame:
    """NucleusTable of a CSV file, see :func:`read_csv_file`."""
    return read_csv_file(path).table


def read_csv_file(path: str | Path) -> NucleusFile:
    """Read nuclei from a CSV file of :func:`write_csv`, of a spreadsheet or of another program.

    Only x_px, y_px and class are required. Columns named x and y are taken as pixels and a nucleus
    with an empty class as "unclassified", each with a note; other missing columns get the defaults
    of a new table. The scale follows from positions in pixels and in microns, if both are there.

    Raises:
        UserError: The file is missing, not CSV, lacks a column, or holds a bad value.
    """
    table = read_csv_table(path, NUCLEUS_CSV, lambda names: axes_columns(names, NUCLEUS_CSV))
    raw = from_omero(nuclei_alone(table))
    check_count(len(raw), raw.name)
    x, y = (raw.numbers(key) + to_corner_px(raw.headings) for key in ("x_px", "y_px"))
    ids, anew = _ids(raw)
    try:
        require_one_part_in(raw)
        require_centres(raw.headings, "x_px")
        names, unnamed = _classes(raw)
        table = nucleus_table(
            x,
            y,
            names,
            score=_scores(raw),
            status=raw.texts("status", empty=Status.PREDICTED.word)
            if "status" in raw
            else Status.PREDICTED.word,
            model=raw.texts("model") if "model" in raw else "",
            ids=ids,
        )
    except UserError as error:
        named = str(error).startswith(raw.name)
        raise (error if named else UserError(f"{raw.name}: {error}")) from error
    mpp, origin_px, slide = _mpp(raw, x, y), _origin(raw), _slide(raw)
    assumed = taken_as_pixels(raw.headings)
    return NucleusFile(
        table, None, mpp, (), (*raw.notes, *anew, *assumed, *unnamed), origin_px, slide
    )


def require_one_part_in(raw: CsvTable) -> None:
    """Refuse a table with nuclei of several slides or planes.

    Raises:
        UserError: A column names several.
    """
    for key in PART_KEYS:
        # Beside its content the name of a slide does not count: it may have been renamed.
        if key in raw and not (key in _SLIDE and _SLIDE[1] in raw):
            try:
                require_one_part(raw.texts(key).tolist(), key, raw.headings[key])
            except UserError as error:
                raise UserError(f"{raw.name}: {error}") from error


def require_centres(headings: Mapping[str, str], x: str) -> None:
    """Refuse positions that may be corners of boxes.

    Args:
        headings: What a file calls its columns, by key.
        x: Key of the positions along x.

    Raises:
        UserError: There are widths and heights too, and no name says that positions are centres.
    """
    unsaid = headings[x].strip().lower() in _WITHOUT_UNIT
    if unsaid and {"width", "height"} <= set(headings) and "corner" not in headings:
        raise UserError(
            f"It has the columns {headings['width']} and {headings['height']}, so that x and y may"
            " be corners of boxes; name positions of centres x_px and y_px."
        )


def _classes(raw: CsvTable) -> tuple[list[str] | str, tuple[str, ...]]:
    """The class of each nucleus, and notes."""
    numbers_regions = may_number_regions(raw.headings) and not len(
        raw.form.parse(raw.cells["class"])[1]
    )
    if "class" not in raw or numbers_regions:
        return UNCLASSIFIED, (NO_CLASSES,)
    names = raw.texts("class")
    return class_names((names if "status" in raw else _whole(names)).tolist(), "class")


def _whole(names: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Classes as they are, unless all are whole numbers: "1.0" is then 1.

    So pandas writes them where one is missing, and other formats have them as numbers.
    """
    if not all(_WHOLE.fullmatch(name) for name in set(names.tolist())):
        return names
    return np.array([name.partition(".")[0] for name in names], dtype=object)


def _ids(raw: CsvTable) -> tuple[npt.NDArray[Any] | None, tuple[str, ...]]:
    """(N,) ids, or None and a note where none of them is a number, as those of other programs.

    Raises:
        UserError: Some are.
    """
    if "id" not in raw:
        return None, ()
    wrong = raw.form.parse(raw.cells["id"])[1]
    if len(raw) and len(wrong) == len(raw):
        return None, (NUMBERED_ANEW,)
    return raw.whole_numbers("id"), ()


def _scores(raw: CsvTable) -> npt.NDArray[np.float64] | float:
    if "score" in raw:
        return raw.numbers("score", empty=1.0)
    if "probability" not in raw:
        return 1.0
    return probabilities(raw.form.parse(raw.cells["probability"])[0])


def taken_as_pixels(headings: Mapping[str, str]) -> tuple[str, ...]:
    """A note where headings do not say in which unit positions are.

    Args:
        headings: What a file calls x_px and y_px.
    """
    if is_along_axes(headings):
        return (AXES_AS_PIXELS,)
    found = {headings[key].strip().lower() for key in ("x_px", "y_px")}
    return (POSITIONS_AS_PIXELS,) if found & set(_WITHOUT_UNIT) else ()


def nuclei_alone(raw: CsvTable) -> CsvTable:
    """Drop the rows that QuPath marks as objects other than nuclei and cells.

    Raises:
        UserError: No row is left.
    """
    if "object_type" not in raw:
        return raw
    kinds = np.array([str(kind).strip().lower() for kind in raw.texts("object_type")], dtype=object)
    nuclei = ~np.isin(kinds, _NOT_NUCLEI)
    if nuclei.all():
        return raw
    others = ", ".join(sorted(set(kinds[~nuclei])))
    if not nuclei.any():
        raise UserError(
            f"{raw.name} holds no nuclei: all its rows are of other objects ({others})."
        )
    count = int((~nuclei).sum())
    return raw.where(nuclei, f"{count:,} rows of other objects ({others}) were left out.")


def _origin(raw: CsvTable) -> Origin | None:
    """Return the origin of positions, or None where no column states it.

    Raises:
        UserError: The rows do not agree.
    """
    if not len(raw) or any(name not in raw for name in _ORIGIN):
        return None
    x, y = (raw.numbers(name) for name in _ORIGIN)
    if np.ptp(x) or np.ptp(y) or not np.isfinite((x[0], y[0])).all():
        raise UserError(f"{raw.name} counts its nuclei from several places ({', '.join(_ORIGIN)}).")
    return float(x[0]), float(y[0])


def _slide(raw: CsvTable) -> RecordedSlide | None:
    """The slide that the rows name, or None where no column of ours does.

    Raises:
        UserError: They name several.
    """
    if not len(raw) or any(name not in raw for name in _SLIDE):
        return None
    cells = (raw.texts(name) for name in _SLIDE)
    found = [pair for pair in dict.fromkeys(zip(*cells, strict=True)) if pair[1].strip()]
    if len({content for _, content in found}) > 1:
        raise of_several_slides(raw.name, (name for name, _ in found))
    try:
        return RecordedSlide(*map(str.strip, found[0])) if found else None
    except UserError:
        # A spreadsheet may have changed the value; the nuclei can be read all the same.
        return None


def is_nucleus_csv(path: str | Path) -> bool:
    """Whether the columns of a CSV file say that it is of nuclei on a slide.

    They do by a unit of positions, or where there are positions and classes and nothing else: any
    table of measurements may have columns x, y and class beside others.
    """
    found = csv_names(path, NUCLEUS_CSV)
    own = {name for key in _OWN for name in NUCLEUS_CSV[key].names} - set(_WITHOUT_UNIT)
    if not own.isdisjoint(found):
        return True
    columns = NUCLEUS_CSV.values()
    is_whole = all(set(column.names) & set(found) for column in columns if column.needed)
    return is_whole and {name for column in columns for name in column.names}.issuperset(found)


def _mpp(raw: CsvTable, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float | None:
    """Microns per pixel, from positions in both units; None where one is missing, or no micron.

    Computed from the first thousand rows and rounded to six digits.
    """
    if "x_um" not in raw or "y_um" not in raw:
        return None
    parsed = [raw.form.parse(raw.cells[key][:_COMPARED])[0] for key in ("x_um", "y_um")]
    um = float(np.abs(parsed).sum())
    px = float(np.abs([x[:_COMPARED], y[:_COMPARED]]).sum())
    if not (0 < px < math.inf and 0 < um < math.inf):
        return None
    mpp = float(f"{um / px:.6g}")
    # Outside this range positions that are called microns are in another unit.
    return mpp if MIN_MPP <= mpp <= MAX_MPP else None
