"""RowReading: reads all nuclei of a large store, in a thread beside the interface. No Qt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import AnnotationStore
from napari_muse.annotations.nucleus_arrays import NucleusArrays

Later = Callable[
    [Callable[[], NucleusArrays], Callable[[NucleusArrays], None], Callable[[str], None]], None
]
"""Runs a function in a thread and then, in the caller's, one of the other two: with its result, or
with the sentence of its UserError."""


class RowReading:
    """Reads the nuclei of a store by a connection of its own.

    The interface uses the other one meanwhile, without waiting for this one.
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
        with (
            self._has_file,
            AnnotationStore.open(self._path, read_only=True) as store,
            store.cancellable(self._cancelled.is_set),
        ):
            rows = store.rows()
        arrays = NucleusArrays(self._scheme, rows, self._class_ids)
        arrays.compute()
        return arrays

    def stop(self) -> None:
        """Stop reading, and return when the file is closed."""
        self._cancelled.set()
        with self._has_file:
            pass
