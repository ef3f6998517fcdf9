"""RowReading: reads all nuclei of a large store, beside the interface. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from muse_core.errors import cannot
from muse_core.isolation import Limits, run_isolated
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import NUCLEUS_ROW
from napari_muse.annotations.nucleus_arrays import NucleusArrays

Later = Callable[
    [Callable[[], NucleusArrays], Callable[[NucleusArrays], None], Callable[[str], None]], None
]
"""Runs a function in a thread and then, in the caller's, one of the other two: with its result, or
with the sentence of its UserError."""


class RowReading:
    """Reads the nuclei of a store in another process, called in a thread.

    SQLite takes Python's lock for each row: in a thread of the interface's own process a million
    rows took three times as long, and held up the interface.
    """

    def __init__(self, path: Path, scheme: ClassScheme, class_ids: Sequence[int]) -> None:
        """Read nothing yet.

        Args:
            path: File of the store.
            scheme: Its classes.
            class_ids: Their ids.
        """
        self._path = path
        self._scheme, self._class_ids = scheme, class_ids
        self._cancelled = threading.Event()
        self._has_file = threading.Lock()

    def read(self) -> NucleusArrays:
        """Read, in the thread; what is displayed first is computed too.

        Raises:
            UserError: The store cannot be read, or the reading was stopped.
        """
        try:
            limits = Limits.for_size(self._path.stat().st_size)
        except OSError as error:
            raise cannot("read", self._path, error) from error
        worker, task = "muse_core.nuclei.store.rows_worker", {"path": str(self._path)}
        with self._has_file:
            data = run_isolated(worker, task, limits, self._path.name, self._cancelled.is_set)
        # The memory is this process's own and can be written to.
        rows = np.frombuffer(data, NUCLEUS_ROW)
        arrays = NucleusArrays(self._scheme, rows, self._class_ids)
        arrays.compute()
        return arrays

    def stop(self) -> None:
        """Stop reading, and return when the file is closed."""
        self._cancelled.set()
        with self._has_file:
            pass
