"""Writing CSV: by pyarrow where no text needs quotes, which is five times as fast as pandas."""

from __future__ import annotations

import os
from io import BufferedIOBase

import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from muse_core.tables.quoting import quoting_of

_ROWS_AT_ONCE = 1 << 14


def write_csv_rows(rows: pd.DataFrame, file: BufferedIOBase, separator: str, header: bool) -> None:
    """Write rows as UTF-8 with the system's ends of lines.

    Args:
        rows: Numbers and texts, none of them missing.
        file: The file, open for writing bytes.
        separator: Between columns.
        header: Whether the names of the columns come first.
    """
    texts = {text for name in _text_columns(rows) for text in rows[name].unique()}
    if header:
        file.write((separator.join(rows.columns) + os.linesep).encode())
    if os.linesep == "\n" and not any(set(text) & {'"', "\r", "\n", separator} for text in texts):
        options = arrow_csv.WriteOptions(
            include_header=False,
            batch_size=_ROWS_AT_ONCE,
            delimiter=separator,
            quoting_style="none",
        )
        arrow_csv.write_csv(pa.Table.from_pandas(rows, preserve_index=False), file, options)
        return
    rows.to_csv(
        file,
        index=False,
        header=False,
        sep=separator,
        lineterminator=os.linesep,
        quoting=quoting_of(texts),
        mode="wb",
        encoding="utf-8",
    )


def _text_columns(rows: pd.DataFrame) -> list[str]:
    return [name for name in rows if not pd.api.types.is_numeric_dtype(rows[name])]
