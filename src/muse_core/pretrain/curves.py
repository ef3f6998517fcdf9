"""The figures of a run, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from muse_core.files import replacing


class Curves:
    """Rows of figures by step; a resumed run goes on where its checkpoint was written."""

    def __init__(self, folder: Path, step: int, names: Sequence[str]) -> None:
        """Open or go on.

        Args:
            folder: Of the run.
            step: Steps made; rows of later ones are from before a crash and are dropped.
            names: Of its CSV files; others in the folder are not the run's and stay as they are.
        """
        self._folder = folder
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
        fresh = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["step", *figures])
            writer.writerow([step, *(f"{value:.7g}" for value in figures.values())])
        for key, value in figures.items():
            self._writer.add_scalar(f"{name}/{key}", value, step)

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


def _drop_after(path: Path, step: int) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    # A row that a crash cut off is from after the checkpoint.
    kept = [row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= step]
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*rows[:1], *kept])
