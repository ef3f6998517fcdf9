"""Short background work in a thread; long work is for jobs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from superqt.utils import ensure_main_thread

from muse_core.errors import UserError

_T = TypeVar("_T")


class Background:
    """Run one function after the other in a thread; results arrive in the main thread.

    It has its own thread: a worker of superqt would queue in the application's thread pool, behind
    the work of other plugins.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="muse")
        self._under_way = 0
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return self._under_way > 0

    def do(
        self, work: Callable[[], _T], then: Callable[[_T], None], failed: Callable[[str], None]
    ) -> None:
        """Run work in the thread, then call one of the other two in the main thread.

        Args:
            work: Touches neither widgets nor layers.
            then: Gets what the work returned.
            failed: Gets a sentence for the user.
        """
        self._under_way += 1
        self._pool.submit(self._work, work, then, failed)

    def close(self) -> None:
        """Ignore the results of running work."""
        self._closed, self._under_way = True, 0
        self._pool.shutdown(wait=False)

    def _work(
        self, work: Callable[[], _T], then: Callable[[_T], None], failed: Callable[[str], None]
    ) -> None:
        try:
            result = work()
        except UserError as error:
            self._tell(failed, str(error))
        except Exception as error:  # What is wrong here must not end napari.
            self._tell(failed, f"That failed: {type(error).__name__}: {error}.")
        else:
            self._tell(then, result)

    @ensure_main_thread
    def _tell(self, act: Callable[[_T], None], what: _T) -> None:
        if not self._closed:
            self._under_way -= 1
            act(what)
