"""Build nuclei from named columns, of files written here or by other programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.formats.facts import facts_from_json
from muse_core.nuclei.formats.headings import (
    CLASS_KEYS,
    CLASS_NAMES,
    by_lower_case,
    spellings,
)
from muse_core.nuclei.formats.qupath import class_of_feature
from muse_core.nuclei.naming import one_spelling
from muse_core.nuclei.nucleus_file import (
    UNCLASSIFIED,
    NucleusFile,
    check_classes,
    check_numbering,
    unclassified_note,
)
from muse_core.nuclei.table import Status, nucleus_table

POSITIONS_AS_PIXELS = "Positions were taken as pixels of the full resolution."
"""Note on a file that does not say in which unit its positions are."""
NO_CLASSES = f"No column names the classes; these are looked for: {', '.join(CLASS_KEYS)}."
"""Note on a file in which no column names them."""
NUMBERED_ANEW = "Ids that are no numbers were replaced."
"""Note on a file of another program, whose ids are texts."""
SLIDE_KEYS = (
    "library_id",
    "slide_id",
    "slide_name",
    "slide",
    "slide_path",
    "wsi",
    "wsi_id",
    "wsi_name",
    "image_id",
    "image_name",
    "image_path",
    "image",
    "filename",
    "file_name",
    "file",
    "sample",
    "sample_id",
    "sample_name",
)
"""Columns in which programs name the slide of a row, in tables of several slides."""
_PLANE_KEYS = (
    "z",
    "z_px",
    "z_um",
    "z_index",
    "z_plane",
    "z_slice",
    "slice",
    "plane",
    "focal_plane",
    "t",
    "t_index",
    "timepoint",
    "time_point",
    "frame",
)
PART_KEYS = (*SLIDE_KEYS, *_PLANE_KEYS)
"""Columns that name the slide of a row, or its plane in a stack: that of focus or of time."""
_PARTS_SHOWN = 3
_NAME_SHOWN = re.compile(r"""['"]name['"]: (?:None|(['"])(.*?)\1)""")
_OURS = ("id", "class_name", "score", "status", "model")


def nuclei_from_columns(
    xy: npt.NDArray[np.float64], columns: Mapping[str, npt.NDArray[Any]], facts: object
) -> NucleusFile:
    """Nuclei of a file that keeps positions apart from the other columns.

    Args:
        xy: (N, 2) positions.
        columns: (N,) each, by name; only those that are needed are read. None and NaN are missing
            values.
        facts: Metadata that napari-muse has written. Without it the file is another program's: its
            positions are taken as level-0 pixels, and only a column of classes is looked for.

    Raises:
        UserError: A file of ours lacks a column, or a value does not fit the schema.
    """
    if facts is None:
        return _foreign(xy, columns)
    missing = [name for name in _OURS if name not in columns]
    if missing:
        raise UserError(f"It lacks the column(s) {', '.join(missing)}.")
    known = facts_from_json(facts)
    names, notes = class_names(columns["class_name"].tolist(), "class_name")
    table = nucleus_table(
        xy[:, 0],
        xy[:, 1],
        names,
        score=scores(columns["score"]),
        status=filled(columns["status"].tolist(), Status.PREDICTED.word),
        model=filled(columns["model"].tolist(), ""),
        ids=whole_ids(columns["id"]),
    )
    return known.with_table(table, notes)


def class_names(values: Sequence[Any], key: str) -> tuple[list[str], tuple[str, ...]]:
    """Names of classes, ``UNCLASSIFIED`` where one is missing, and a note if any is.

    Args:
        values: Texts, numbers or truth values.
        key: The column, for errors.

    Raises:
        UserError: They number the nuclei.
    """
    known = {value: class_name(value) for value in set(values)}
    check_classes(len(set(known.values())), f"The column {key!r}")
    check_numbering(set(known.values()), len(values), f"The column {key!r}")
    names = [known[value] for value in values]
    missing = [value for value, name in known.items() if name == UNCLASSIFIED != value]
    unnamed = sum(value in missing for value in values) if missing else 0
    note = unclassified_note(unnamed)
    return names, (note,) if unnamed else ()


def part_headings(by_name: Mapping[str, str]) -> dict[str, str]:
    """Return the heading of each column that names slides or planes, by its key in ``PART_KEYS``.

    Args:
        by_name: Headings of a file by their names in lower case.
    """
    found = {}
    for key in PART_KEYS:
        heading = next((by_name[name] for name in spellings(key) if name in by_name), None)
        if heading is not None:
            found[key] = heading
    return found


def require_one_part(values: Iterable[Any], key: str, heading: str, holder: str = "column") -> None:
    """Refuse a table with nuclei of several slides or planes, which would be mixed up.

    Args:
        values: Name of each nucleus' slide or plane; empty where it is unknown.
        key: Of ``PART_KEYS``.
        heading: The column's name in the file, for the error.
        holder: What has this name.

    Raises:
        UserError: There are several.
    """
    by = f"by the {holder} {heading!r}"
    (require_one_plane if key in _PLANE_KEYS else _require_one_slide)(values, by)


def require_one_plane(values: Iterable[Any], by: str) -> None:
    """Refuse nuclei of several planes.

    Args:
        values: The plane of each nucleus, by name, number or position; empty where it is unknown.
        by: Where the planes come from, for the error.

    Raises:
        UserError: There are several.
    """
    planes = _named(values)
    if len(planes) > 1:
        raise UserError(
            f"It holds nuclei of several planes {by} ({_shown(planes)}); keep those of one."
        )


def _require_one_slide(values: Iterable[Any], by: str) -> None:
    slides = _named(values)
    if len(slides) > 1:
        raise of_several_slides("It", slides, f" {by}")


def _named(values: Iterable[Any]) -> set[str]:
    return {str(v).strip() for v in set(values) if v is not None and not pd.isna(v)} - {""}


def _shown(parts: Iterable[str]) -> str:
    return ", ".join(sorted(set(parts))[:_PARTS_SHOWN])


def of_several_slides(holder: str, slides: Iterable[str], by: str = "") -> UserError:
    """Return the error of nuclei of several slides.

    Args:
        holder: What holds them.
        slides: Their names.
        by: What says so, after a space.
    """
    return UserError(
        f"{holder} holds nuclei of several slides{by} ({_shown(slides)}); keep those of one."
    )


def scores(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(N,) scores, 1 where one is missing; raises UserError for what is no number."""
    numbers = pd.to_numeric(pd.Series(values), errors="coerce")
    if values.dtype.kind not in "iufO" or (numbers.isna() & pd.notna(values)).any():
        raise UserError("The column 'score' holds a value that is not a number.")
    result: npt.NDArray[np.float64] = numbers.fillna(1.0).to_numpy(np.float64)
    return result


def probabilities(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N,) scores of another program, 1 where a number is no probability."""
    return np.where((values >= 0) & (values <= 1), values, 1.0)


def filled(values: Sequence[Any], empty: str) -> list[Any]:
    """Texts without null characters, with another in place of those that are missing or empty."""
    known = {v: one_spelling(v) if isinstance(v, str) else v for v in set(values)}
    known |= {v: empty for v, text in known.items() if text == "" or pd.isna(text)}
    return [known[value] for value in values]


def whole_ids(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(N,) ids; raises UserError where one is missing."""
    if pd.isna(values).any():
        raise UserError("The column 'id' has an empty cell.")
    return values


def class_name(value: Any) -> str:
    """A class as text, without surrounding spaces, with which tables pad cells.

    A classification of QuPath that a program has written into a cell as a whole is its name.

    Null characters, which pad texts of fixed width, are removed too, since not every format holds
    them. Whole numbers that missing values have turned into floats become whole again.
    """
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return UNCLASSIFIED
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = one_spelling(str(value)).strip()
    return (_name_within(text) if text.startswith("{") else text) or UNCLASSIFIED


def _name_within(text: str) -> str:
    """The name in a classification of QuPath that is written as JSON or as Python shows it."""
    found = _NAME_SHOWN.search(text)
    try:
        known = json.loads(text)
    except (ValueError, RecursionError):
        return text if found is None else found[2] or ""
    is_one = isinstance(known, dict) and not known.keys().isdisjoint(("name", "names"))
    return class_of_feature({"classification": known})[0] if is_one else text


def _foreign(xy: npt.NDArray[np.float64], columns: Mapping[str, npt.NDArray[Any]]) -> NucleusFile:
    by_name = by_lower_case(columns)
    for part, heading in part_headings(by_name).items():
        require_one_part(columns[heading].tolist(), part, heading)
    key = next((key for key in CLASS_NAMES if key in by_name), None)
    if key is None:
        table = nucleus_table(xy[:, 0], xy[:, 1], UNCLASSIFIED)
        return NucleusFile(table, notes=(POSITIONS_AS_PIXELS, NO_CLASSES))
    names, notes = class_names(columns[by_name[key]].tolist(), key)
    return NucleusFile(
        nucleus_table(xy[:, 0], xy[:, 1], names), notes=(POSITIONS_AS_PIXELS, *notes)
    )
