"""Short work beside the interface, in a thread; long work is for jobs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from qtpy.QtCore import QTimer

from muse_core.errors import UserError

_POLL_MS = 100
_T = TypeVar("_T")


class Background:
    """Run one function after the other in a thread; results arrive in the main thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="muse")
        self._waiting: list[tuple[Future[object], Callable[[], None]]] = []
        self._timer = QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._waiting)

    def do(
        self, work: Callable[[], _T], then: Callable[[_T], None], failed: Callable[[str], None]
    ) -> None:
        """Do work in the thread, then call one of the other two here.

        Args:
            work: Touches neither widgets nor layers.
            then: Gets what the work returned.
            failed: Gets a sentence for the user.
        """
        future = self._pool.submit(work)

        def finish() -> None:
            try:
                result = future.result()
            except UserError as error:
                failed(str(error))
            except Exception as error:  # What is wrong here must not end napari.
                failed(f"That failed: {type(error).__name__}: {error}.")
            else:
                then(result)

        self._waiting.append((future, finish))  # type: ignore[arg-type]
        self._timer.start()

    def close(self) -> None:
        """Let what is under way end by itself; nothing is called any more."""
        self._timer.stop()
        self._waiting.clear()
        self._pool.shutdown(wait=False)

    def _poll(self) -> None:
        while self._waiting and self._waiting[0][0].done():
            _, finish = self._waiting.pop(0)
            finish()
        if not self._waiting:
            self._timer.stop()
