"""Read and check columns of a CSV file in any dialect."""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.array_types import Mask
from muse_core.errors import UserError
from muse_core.ordinary import require_file
from muse_core.tables.header import Column, CsvHeader, find_header, skip_header
from muse_core.tables.numbers import AmbiguousNumbersError, NumberFormat, number_format
from muse_core.tables.text import FALLBACK, decoded, encodings_of, unpacked

_MAX_ROWS = 20_000_001
"""One more than the largest number of nuclei that is accepted."""
_SAMPLE_LINES = 200
_CELL_SHOWN = 40
_MISSING = ("", "na", "nan", "null", "none")
_CHUNK_ROWS = 1 << 18
_TOO_MANY_CELLS = re.compile(r"fields in line (\d+), saw")
_OPEN_QUOTE = re.compile(r"EOF inside string starting at row (\d+)")
_LARGEST = np.iinfo(np.int64).max
_UNREADABLE = (
    pd.errors.ParserError,
    pd.errors.EmptyDataError,
    csv.Error,
    OSError,
    EOFError,
    zlib.error,
    ValueError,
)


@dataclass(frozen=True)
class CsvTable:
    """Columns of a CSV file with N rows.

    Attributes:
        name: The file's name, for errors.
        cells: (N,) texts of each column that was found, by the keys asked for.
        headings: What the file calls these columns, lower case, by the same keys.
        lines: (N,) line of each row in the file, counted from 1.
        form: How its numbers are written.
        notes: Sentences for the user about what was assumed.
    """

    name: str
    cells: Mapping[str, pd.Series]
    headings: Mapping[str, str]
    lines: npt.NDArray[np.int64]
    form: NumberFormat
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def __contains__(self, key: str) -> bool:
        return key in self.cells

    def where(self, wanted: Mask, note: str) -> CsvTable:
        """The rows of a mask (N,) alone, and a note on the others."""
        cells = {key: column[wanted] for key, column in self.cells.items()}
        return replace(self, cells=cells, lines=self.lines[wanted], notes=(*self.notes, note))

    def texts(self, key: str, empty: str = "") -> npt.NDArray[np.object_]:
        """(N,) texts of a column, with another in the place of empty ones."""
        values = self.cells[key].to_numpy(dtype=object)
        return np.where(values == "", empty, values) if empty else values

    def names(self, key: str) -> npt.NDArray[np.object_]:
        """(N,) texts of a column without surrounding spaces.

        Raises:
            UserError: A cell is blank.
        """
        values: npt.NDArray[np.object_] = self.cells[key].str.strip().to_numpy(dtype=object)
        blank = np.flatnonzero(values == "")
        if len(blank):
            raise self._error(key, int(blank[0]), "which is no name")
        return values

    def numbers(self, key: str, empty: float | None = None) -> npt.NDArray[np.float64]:
        """(N,) numbers of a column.

        Args:
            key: Of the column.
            empty: For empty cells, and what R and pandas write in their place; None refuses them.

        Raises:
            UserError: A cell holds no number, or one that is too large.
        """
        values, wrong = self.form.parse(self.cells[key])
        missing = ("",) if empty is None else _MISSING
        blank = self.cells[key].str.strip().str.lower().isin(missing).to_numpy(dtype=bool)
        if empty is None:
            wrong = np.union1d(wrong, np.flatnonzero(blank))
        else:
            wrong = np.setdiff1d(wrong, np.flatnonzero(blank))
            values = np.where(blank, empty, values)
        if len(wrong):
            raise self._error(key, int(wrong[0]), "which is not a number")
        large = np.flatnonzero(~(np.isfinite(values) | blank))
        if len(large):
            raise self._error(key, int(large[0]), "which is too large")
        return values

    def whole_numbers(self, key: str) -> npt.NDArray[Any]:
        """(N,) whole numbers of a column, exact where float64 would not be.

        Raises:
            UserError: A cell holds none.
        """
        exact = self.form.whole(self.cells[key])
        if exact is not None:
            for row in np.flatnonzero(np.abs(exact) > _LARGEST) if exact.dtype == object else ():
                raise self._error(key, int(row), "which is too large")
            return exact
        values = self.numbers(key)
        odd = np.flatnonzero(values != np.floor(values))
        if len(odd):
            raise self._error(key, int(odd[0]), "which is not a whole number")
        return values

    def _error(self, key: str, row: int, why: str) -> UserError:
        cell = str(self.cells[key].iloc[row])[:_CELL_SHOWN]
        return UserError(
            f"{self.name} holds {cell!r} in the column {self.headings[key]},"
            f" line {self.lines[row]:,}, {why}."
        )


_Columns = Mapping[str, Column]


def read_csv_table(
    path: str | Path,
    columns: _Columns,
    instead: Callable[[Sequence[str]], _Columns | None] = lambda _: None,
) -> CsvTable:
    """Read columns of a CSV file, whatever dialect it is in.

    Comma, semicolon, tab or bar between cells; a ``sep=`` line and a few others before the header;
    UTF-8 or UTF-16, with or without byte order mark, else Windows-1252; names of columns in any
    case, padded or quoted; decimal points or commas, and marks between thousands; empty rows and
    columns as spreadsheets leave them behind. ``.gz`` is unpacked.

    Args:
        path: The file.
        columns: What to look for, by a key.
        instead: Gets the names in the header, lower case; returns what to look for in this file, or
            None for the same.

    Raises:
        UserError: The file is missing, no CSV, lacks a column or has it twice, has more cells in a
            row than columns, or how its numbers are written cannot be told.
    """
    source = require_file(path)
    try:
        with unpacked(source) as raw:
            return _read_any(raw, source.name, columns, instead)
    except UserError as error:
        raise UserError(f"{source.name} {error}") from error
    except _UNREADABLE as error:
        reason = str(error).strip().rpartition("\n")[2].rstrip(".")
        raise UserError(f"{source.name} is not a readable CSV file: {reason}.") from error


def csv_names(path: str | Path, columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Names in the header of a CSV file, lower case; none where it cannot be read.

    Args:
        path: The file.
        columns: By which the header is recognised where lines stand before it.
    """
    try:
        with unpacked(Path(path)) as raw:
            for encoding in encodings_of(raw):
                try:
                    with decoded(raw, encoding) as text:
                        return find_header(text, columns).names
                except UnicodeError:
                    continue
    except (UserError, *_UNREADABLE):
        return ()
    return ()


def _read_any(
    raw: IO[bytes],
    name: str,
    columns: _Columns,
    instead: Callable[[Sequence[str]], _Columns | None],
) -> CsvTable:
    """In the first encoding that fits."""
    for encoding in encodings_of(raw):
        try:
            with decoded(raw, encoding) as text:
                header = find_header(text, columns)
            wanted = instead(header.names) or columns
            places = header.places(wanted)
            numeric = [place for key, place in places.items() if wanted[key].number]
            frame = _body(raw, encoding, header, places, numeric)
        except UnicodeError:
            continue
        headings = {key: header.names[place] for key, place in places.items()}
        return _checked(frame, name, wanted, headings, header, encoding)
    raise ValueError("its text is neither Unicode nor Windows-1252")


def _body(
    raw: IO[bytes],
    encoding: str,
    header: CsvHeader,
    places: Mapping[str, int],
    numeric: Sequence[int],
) -> pd.DataFrame:
    """The cells as texts, without empty rows; indexed by line."""
    sample = _sample(raw, encoding, header)
    shift = int(_has_row_names(sample, header))
    wanted = {key: place + shift for key, place in places.items()}
    width = len(header.names) + shift
    padded = header.padded or _is_padded(sample, [place + shift for place in numeric])
    parts = []
    with decoded(raw, encoding) as text:
        skip_header(text, header)
        try:
            chunks = pd.read_csv(
                text,
                sep=header.separator,
                header=None,
                names=range(max(width + 1, *map(len, sample)) if sample else width),
                index_col=False,
                dtype=str,
                # Left to itself pandas takes classes called "NA" or "None" for missing values.
                na_filter=False,
                skip_blank_lines=False,
                skipinitialspace=padded,
                nrows=_MAX_ROWS,
                chunksize=_CHUNK_ROWS,
            )
            for chunk in chunks:
                parts.append(_part(chunk, header, wanted, width, padded))
        except pd.errors.EmptyDataError:
            pass
        except pd.errors.ParserError as error:
            sentence = _sentence_of(error, header)
            if sentence is None:
                raise
            raise sentence from error
    return pd.concat(parts) if parts else pd.DataFrame(columns=list(wanted), dtype=str)


def _sentence_of(error: pd.errors.ParserError, header: CsvHeader) -> UserError | None:
    """Return an error that names the line of the file, where pandas names it by its own count."""
    if (place := _TOO_MANY_CELLS.search(str(error))) is not None:
        return _too_many_cells(header.line + int(place[1]))
    if (place := _OPEN_QUOTE.search(str(error))) is not None:
        line = header.line + 1 + int(place[1])
        return UserError(f"has a quotation mark in line {line:,} that is never closed.")
    return None


def _part(
    chunk: pd.DataFrame, header: CsvHeader, wanted: Mapping[str, int], width: int, padded: bool
) -> pd.DataFrame:
    """The columns wanted of some rows; those beyond the header must be empty."""
    further = ~(_blank(chunk.loc[:, width:]).all(axis=1).to_numpy(dtype=bool))
    lines = chunk.index.to_numpy() + header.line + 1
    if further.any():
        raise _too_many_cells(int(lines[further][0]))
    part = chunk[list(wanted.values())].set_axis(list(wanted), axis=1).set_axis(lines, axis=0)
    if padded:
        part = part.apply(lambda column: column.str.strip())
    return part[~_blank(part).all(axis=1)]


def _blank(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.apply(lambda column: column.str.strip() == "")


def _too_many_cells(line: int) -> UserError:
    return UserError(
        f"has more cells in line {line:,} than columns; if its numbers have decimal commas,"
        " semicolons must stand between the cells."
    )


def _sample(raw: IO[bytes], encoding: str, header: CsvHeader) -> list[list[str]]:
    with decoded(raw, encoding) as text:
        skip_header(text, header)
        return list(islice(csv.reader(text, delimiter=header.separator), _SAMPLE_LINES))


def _is_padded(sample: list[list[str]], numeric: Sequence[int]) -> bool:
    """Whether spaces stand around numbers, and so around texts that are not meant to have any."""
    cells = [row[place] for row in sample for place in numeric if place < len(row)]
    return any(cell != cell.strip() for cell in cells)


def _has_row_names(sample: list[list[str]], header: CsvHeader) -> bool:
    """Whether rows begin with a name for which there is no column, as R's write.table does.

    Not where commas stand between cells: a decimal comma would look the same.
    """
    rows = [row for row in sample if row]
    one_more = all(len(row) == len(header.names) + 1 and row[-1] != "" for row in rows)
    return bool(rows) and one_more and header.separator != ","


def _checked(
    frame: pd.DataFrame,
    name: str,
    columns: Mapping[str, Column],
    headings: Mapping[str, str],
    header: CsvHeader,
    encoding: str,
) -> CsvTable:
    cells = {str(key): frame[key] for key in frame.columns}
    numeric = {key: cells[key] for key in cells if columns[key].number}
    try:
        form = number_format(numeric, decimal_comma=header.separator == ";")
    except AmbiguousNumbersError as error:
        raise UserError(
            "has numbers of which cannot be told whether a comma is a decimal comma or marks"
            " thousands; save it with semicolons between the cells, or with decimal points."
        ) from error
    notes = []
    if encoding == FALLBACK:
        notes.append(f"{name} is not Unicode; its letters were read as Windows-1252.")
    if header.skipped:
        what = "1 line" if header.skipped == 1 else f"{header.skipped:,} lines"
        notes.append(f"Left out before the names of the columns: {what}.")
    lines = frame.index.to_numpy(dtype=np.int64)
    return CsvTable(name, cells, headings, lines, form, tuple(notes))
