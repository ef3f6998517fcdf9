"""Find the header line of a CSV file and its delimiter."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from muse_core.errors import UserError

_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<mark>.)"?\W*', re.IGNORECASE | re.DOTALL)
_LONGEST_LINE = 1 << 16
_MOST_LINES = 20
_MICRONS = re.compile(r"\b[xy][ _.]?[(\[]?[µμu]m\b")
_IN_PIXELS = " Positions in microns are not read; export them in pixels, or as GeoJSON from QuPath."
_NAMES_SHOWN = 12
_NAME_SHOWN = 40


@dataclass(frozen=True)
class Column:
    """A column to look for.

    Attributes:
        names: Accepted names, lower case; if a file has several, the first of these is used.
        number: Whether its values are numbers.
        needed: Whether a file without it is refused.
    """

    names: tuple[str, ...]
    number: bool = False
    needed: bool = True


@dataclass(frozen=True)
class CsvHeader:
    """Columns of a CSV file, by their position.

    Attributes:
        names: Names of all columns: lower case, without quotes and surrounding spaces.
        separator: Delimiter of cells.
        line: Line number of the header, counted from 1.
        padded: Whether there are spaces around a name.
        skipped: Number of lines with content before it, not counting a ``sep=`` line.
    """

    names: tuple[str, ...]
    separator: str
    line: int
    padded: bool
    skipped: int = 0

    def places(self, columns: Mapping[str, Column]) -> dict[str, int]:
        """Place of each column that is there, by its key.

        Raises:
            UserError: One that is needed is not there, or one is there twice; the sentence lacks
                the file's name.
        """
        missing = [key for key, c in columns.items() if c.needed and self._name(c) is None]
        if missing:
            raise UserError(
                f"lacks the column(s) {', '.join(missing)}; it has {self._shown()}."
                f"{_IN_PIXELS if self._has_microns(missing) else ''}"
            )
        found = {key: name for key, c in columns.items() if (name := self._name(c)) is not None}
        for name in found.values():
            if self.names.count(name) > 1:
                raise UserError(f"has the column {name} twice.")
        return {key: self.names.index(name) for key, name in found.items()}

    def count_needed(self, columns: Mapping[str, Column]) -> int:
        """Return the number of needed columns that are there."""
        return sum(c.needed and self._name(c) is not None for c in columns.values())

    def _name(self, column: Column) -> str | None:
        return next((name for name in column.names if name in self.names), None)

    def _has_microns(self, missing: list[str]) -> bool:
        """Whether there are positions in microns in place of those that are missing."""
        places = any(key in ("x", "y", "x_px", "y_px") for key in missing)
        return places and any(_MICRONS.search(name) for name in self.names)

    def _shown(self) -> str:
        names = [name[:_NAME_SHOWN] for name in self.names if name]
        more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
        return f"{', '.join(names[:_NAMES_SHOWN]) or 'none'}{more}"


def find_header(text: IO[str], columns: Mapping[str, Column]) -> CsvHeader:
    """The first of the first lines that names all needed columns, else the one that names most.

    Args:
        text: The file, at its start.
        columns: What to look for.

    Raises:
        ValueError: The file is empty.
    """
    needed = sum(c.needed for c in columns.values())
    separators: tuple[str, ...] = _SEPARATORS
    best, skipped = None, 0
    for number, line in _first_lines(text):
        mark = _SEPARATOR_LINE.fullmatch(line)
        if mark:
            separators = (mark["mark"],)
            continue
        headers = [_parsed(line, s, number, skipped) for s in separators]
        found = max(headers, key=lambda h: (h.count_needed(columns), len(h.names)))
        if found.count_needed(columns) == needed:
            return found
        if best is None or found.count_needed(columns) > best.count_needed(columns):
            best = found
        skipped += 1
    if best is None:
        raise ValueError("it is empty")
    return best


def skip_header(text: IO[str], header: CsvHeader) -> None:
    """Read up to the line after the header."""
    for _ in range(header.line):
        text.readline(_LONGEST_LINE)


def _first_lines(text: IO[str]) -> Iterator[tuple[int, str]]:
    """Numbers and content of the first lines that have one."""
    shown = number = 0
    while shown < _MOST_LINES and (line := text.readline(_LONGEST_LINE)):
        number += 1
        if line.strip():
            shown += 1
            yield number, line


def _parsed(line: str, separator: str, number: int, skipped: int) -> CsvHeader:
    cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    names = tuple(
        " ".join(cell.replace("\ufeff", "").strip(" \"'").lower().split()) for cell in cells
    )
    raw = next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
    padded = any(cell != cell.strip() for cell in raw)
    return CsvHeader(names, separator, number, padded, skipped)
