"""The figures of a run, as CSV and for TensorBoard."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from muse_core.errors import UserError
from muse_core.files import replacing


class CurveFiles:
    """Rows of figures by step; a resumed run goes on where its checkpoint was written.

    What cannot be written raises a UserError.
    """

    def __init__(self, folder: Path, step: int, names: Sequence[str]) -> None:
        """Open or go on.

        Args:
            folder: Of the run.
            step: Steps made; rows of later ones are from before a crash and are dropped.
            names: Of its CSV files; others in the folder are not the run's and stay as they are.
        """
        self._folder = folder
        with _in_a_sentence(folder):
            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        for path in (folder / f"{name}.csv" for name in names):
            if path.is_file():
                _drop_after(path, step)

    def add(self, name: str, step: int, figures: dict[str, float]) -> None:
        """Write a row.

        Args:
            name: Of the CSV file; rows of a file have the same figures.
            step: Optimiser steps made.
            figures: Names and values.
        """
        path = self._folder / f"{name}.csv"
        with _in_a_sentence(path):
            fresh = not path.is_file()
            with path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if fresh:
                    writer.writerow(["step", *figures])
                writer.writerow([step, *(f"{value:.7g}" for value in figures.values())])
        with _in_a_sentence(self._folder):
            for key, value in figures.items():
                self._writer.add_scalar(f"{name}/{key}", value, step)

    def close(self) -> None:
        """Write what is still in memory."""
        with _in_a_sentence(self._folder):
            self._writer.close()


@contextlib.contextmanager
def _in_a_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror or error}.") from error


def _drop_after(path: Path, step: int) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    # A row that a crash cut off is from after the checkpoint.
    kept = [row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= step]
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*rows[:1], *kept])
