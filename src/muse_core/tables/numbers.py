"""Parse numbers in tables, in the notations of different countries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_SAMPLE_ROWS = 1000
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_GROUPING = {",": ",", ".": r"\.", " ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}
"""Marks of thousands, as regular expressions."""
_SCRIPTS = ("٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९", "０１２３４５６７８９")  # noqa: RUF001 (meant)
_SAME = {
    "\N{MINUS SIGN}": "-",
    "\N{ARABIC DECIMAL SEPARATOR}": ".",
    "\N{ARABIC THOUSANDS SEPARATOR}": "'",
} | {digit: str(i) for digits in _SCRIPTS for i, digit in enumerate(digits)}
"""Digits and marks of other scripts: Arabic, Persian, Devanagari, and the wide ones of Japanese."""


@dataclass(frozen=True)
class NumberFormat:
    """Notation of numbers in a table: decimal and thousands marks.

    Attributes:
        decimal: "." or ",".
        thousands: Mark between groups of three digits, a key of ``_GROUPING``, or "" for none.
    """

    decimal: str = "."
    thousands: str = ""

    def parse(self, cells: pd.Series) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        """(N,) numbers, NaN where a cell is empty or none, and the rows of cells that are none."""
        texts = _texts(cells)
        wrong = self.misfits(texts)
        none = pc.or_(wrong, pc.equal(texts, ""))
        plain = pc.if_else(none, pa.scalar(None, pa.large_string()), self._plain(texts))
        numbers = pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False)
        return numbers, np.flatnonzero(wrong.to_numpy(zero_copy_only=False))

    def misfits(self, texts: pa.Array) -> pa.Array:
        """(N,) which trimmed texts are neither empty nor a number."""
        return pc.invert(pc.match_substring_regex(texts, self._pattern()))

    def whole(self, cells: pd.Series) -> npt.NDArray[Any] | None:
        """(N,) whole numbers, exact; None where a cell is written otherwise."""
        plain = self._plain(_texts(cells))
        if not pc.all(pc.match_substring_regex(plain, r"^[+-]?\d+$"), min_count=0).as_py():
            return None
        try:
            result: npt.NDArray[Any] | None = pc.cast(
                pc.utf8_ltrim(plain, "+"), pa.int64()
            ).to_numpy(zero_copy_only=False)
            return result
        except pa.ArrowInvalid:
            # Forty digits are too many for an id already; Python refuses to read thousands of them.
            return np.array([int(number[:40]) for number in plain.to_pylist()], dtype=object)

    def _pattern(self) -> str:
        decimal = _GROUPING[self.decimal]
        digits = r"\d+"
        if self.thousands:
            digits = rf"(?:[1-9]\d{{0,2}}(?:{_GROUPING[self.thousands]}\d{{3}})+|\d+)"
        return rf"^(?:[+-]?(?:{digits}(?:{decimal}\d*)?|{decimal}\d+){_EXPONENT})?$"

    def _plain(self, texts: pa.Array) -> pa.Array:
        if self.thousands:
            texts = pc.replace_substring_regex(texts, _GROUPING[self.thousands], "")
        return texts if self.decimal == "." else pc.replace_substring(texts, self.decimal, ".")


PLAIN = NumberFormat()
_OTHERS = (
    NumberFormat(","),
    NumberFormat(".", ","),
    NumberFormat(",", "."),
    NumberFormat(".", " "),
    NumberFormat(",", " "),
    NumberFormat(".", "'"),
    NumberFormat(",", "'"),
)


class AmbiguousNumbersError(ValueError):
    """A comma may be a decimal comma or a thousands separator."""


def number_format(columns: Mapping[str, pd.Series], decimal_comma: bool) -> NumberFormat:
    """The format that all numbers of a table fit, or else the one that most fit.

    Args:
        columns: Cells of the columns of numbers.
        decimal_comma: Whether an ambiguous comma is a decimal comma.

    Raises:
        AmbiguousNumbersError: A comma is ambiguous, and not ``decimal_comma``.
    """
    texts = {key: _texts(cells) for key, cells in columns.items()}
    if not _misfits(texts, PLAIN):
        return PLAIN
    sample = {key: cells[:_SAMPLE_ROWS] for key, cells in texts.items()}
    fitting = [f for f in _OTHERS if not _misfits(sample, f) and not _misfits(texts, f)]
    if not fitting:
        return min((PLAIN, *_OTHERS), key=lambda form: _misfits(texts, form))
    if decimal_comma or _agree(columns, fitting):
        return fitting[0]
    raise AmbiguousNumbersError


def _misfits(columns: Mapping[str, pa.Array], form: NumberFormat) -> int:
    return sum(pc.sum(form.misfits(texts)).as_py() or 0 for texts in columns.values())


def _agree(columns: Mapping[str, pd.Series], forms: list[NumberFormat]) -> bool:
    """Whether all formats read the same."""
    return all(
        np.array_equal(forms[0].parse(cells)[0], form.parse(cells)[0], equal_nan=True)
        for form in forms[1:]
        for cells in columns.values()
    )


def _texts(cells: pd.Series) -> pa.Array:
    """Trimmed, in the digits of ASCII."""
    texts = pa.Array.from_pandas(cells)
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    texts = pc.utf8_trim_whitespace(pc.cast(texts, pa.large_string()))
    if pc.all(pc.string_is_ascii(texts), min_count=0).as_py():
        return texts
    for letter, plain in _SAME.items():
        texts = pc.replace_substring(texts, letter, plain)
    return texts
