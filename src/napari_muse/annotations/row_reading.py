"""RowReading: reads all nuclei of a large store, beside the interface. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from muse_core.errors import cannot
from muse_core.isolation import Limits, run_isolated
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import NUCLEUS_ROW, AnnotationStore, NucleusRows
from muse_core.processor import usable_cores
from napari_muse.annotations.nucleus_arrays import NucleusArrays

_ROWS_OF_PROCESS = 300_000
"""A process more takes about half a second to start, in which one reads so many rows."""
_MOST_PROCESSES = 4

Later = Callable[
    [Callable[[], NucleusArrays], Callable[[NucleusArrays], None], Callable[[str], None]], None
]
"""Runs a function in a thread and then, in the caller's, one of the other two: with its result, or
with the sentence of its UserError."""


class RowReading:
    """Reads the nuclei of a store in other processes, called in a thread.

    SQLite takes Python's lock for each row: in a thread of the interface's own process a million
    rows took three times as long, and held up the interface. Several processes read a span of ids
    each, if there are enough rows and cores.
    """

    def __init__(
        self, store: AnnotationStore, scheme: ClassScheme, class_ids: Sequence[int]
    ) -> None:
        """Read nothing yet.

        Args:
            store: The store; only its file is used later.
            scheme: Its classes.
            class_ids: Their ids.
        """
        processes = min(store.n_rows // _ROWS_OF_PROCESS, usable_cores(), _MOST_PROCESSES)
        self._path, self._spans = store.path, store.id_spans(max(1, processes))
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
        with self._has_file, ThreadPoolExecutor(len(self._spans), "rows") as pool:
            parts = list(pool.map(partial(self._read_span, limits), self._spans))
        # The memory of each is this process's own and can be written to.
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        arrays = NucleusArrays(self._scheme, rows, self._class_ids)
        arrays.compute()
        return arrays

    def _read_span(self, limits: Limits, span: tuple[int, int]) -> NucleusRows:
        task = {"path": str(self._path), "first": span[0], "last": span[1]}
        worker, stopped = "muse_core.nuclei.store.rows_worker", self._cancelled.is_set
        return np.frombuffer(
            run_isolated(worker, task, limits, self._path.name, stopped), NUCLEUS_ROW
        )

    def stop(self) -> None:
        """Stop reading, and return when the file is closed."""
        self._cancelled.set()
        with self._has_file:
            pass
