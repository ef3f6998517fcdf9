"""Log of a run's figures, as CSV and for TensorBoard."""

from __future__ import annotations

import contextlib
import csv
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from muse_core.errors import cannot
from muse_core.files import replacing


class CurveFiles:
    """Writes figures by step; a resumed run continues after the step of its checkpoint.

    Raises a UserError if a file cannot be written.
    """

    def __init__(self, folder: Path, step: int, names: Sequence[str]) -> None:
        """Open the files, or continue those of an earlier run.

        Args:
            folder: Of the run.
            step: Steps made; rows of later ones are from before a crash and are dropped.
            names: Of its CSV files; others in the folder are not the run's and stay as they are.
        """
        self._folder = folder
        with _in_a_sentence(folder):
            self._events = _EventFile(folder / "tensorboard", step)
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
            self._events.add({f"{name}/{key}": value for key, value in figures.items()}, step)

    def close(self) -> None:
        """Write what is still in memory."""
        with _in_a_sentence(self._folder):
            self._events.close()


class _EventFile:
    """Scalars for TensorBoard, each on the disk when the call returns.

    TensorBoard's own writer uses a thread, in which the error of a full disk is raised later and
    printed as a traceback.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}"
        self._records = RecordWriter((folder / name).open("xb"))
        try:
            self._write(Event(file_version="brain.Event:2"))
            # Later steps in earlier files are from before a crash.
            self._write(
                Event(step=step + 1, session_log=SessionLog(status=SessionLog.SessionStatus.START))
            )
        except OSError:
            with contextlib.suppress(OSError):
                self.close()
            raise

    def add(self, scalars: dict[str, float], step: int) -> None:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(Event(step=step, summary=Summary(value=values)))

    def close(self) -> None:
        self._records.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()


@contextlib.contextmanager
def _in_a_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot("write", path, error) from error


def _drop_after(path: Path, step: int) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    # A row that a crash cut off is from after the checkpoint.
    kept = [row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= step]
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*rows[:1], *kept])
