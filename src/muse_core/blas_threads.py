"""Limit numpy's matrix products to one thread while other threads use the cores."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


class _Limit:
    """Reference-counted limit of BLAS threads, because their number is global to the process.

    OpenBLAS lets its threads busy-wait for tens of milliseconds after each product. For the few
    small products of a tile's nuclei that took a third of the processor; beside threads of our own,
    as in relearning, everything took more than twice as long.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        # numpy's own library is loaded by now; others, such as torch's, keep what they have.
        self._controller = ThreadpoolController().select(internal_api="openblas")
        self._before: list[int] = []

    def enter(self) -> None:
        with self._lock:
            if not self._users:
                self._before = [library.num_threads for library in self._controller.lib_controllers]
                self._set([1] * len(self._before))
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._set(self._before)

    def _set(self, threads: list[int]) -> None:
        for library, number in zip(self._controller.lib_controllers, threads, strict=True):
            if hasattr(library, "clear_controlling_thread"):
                # From threadpoolctl 3.8 on, calls of all threads but the first have no effect.
                library.clear_controlling_thread(force=True)
            library.set_num_threads(number)


@lru_cache(maxsize=1)
def _limit() -> _Limit:
    return _Limit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Context in which numpy's matrix products use one thread, in all threads of the process."""
    limit = _limit()
    limit.enter()
    try:
        yield
    finally:
        limit.leave()
