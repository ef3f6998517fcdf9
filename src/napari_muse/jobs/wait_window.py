"""Wait for work within a call that napari makes, while the window stays responsive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from qtpy.QtCore import QEventLoop, Qt, QThread, QTimer
from qtpy.QtWidgets import QApplication, QProgressDialog

from napari_muse.plain_text import isolated

_POLL_MS = 20
_SHOWN_AFTER_MS = 500
_T = TypeVar("_T")


def wait_with_window(work: Callable[[Callable[[], bool]], _T], sentence: str) -> _T:
    """Run work in a thread; the window is drawn meanwhile, and offers Cancel after half a second.

    Args:
        work: Gets a function that says whether the user has cancelled; touches no widgets.
        sentence: Description of the work.

    Returns:
        The result of the work; its exceptions are raised here.
    """
    app = QApplication.instance()
    if app is None or QThread.currentThread() is not app.thread():
        return work(lambda: False)
    cancelled = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="muse-read") as pool:
        future = pool.submit(work, cancelled.is_set)
        loop, timer = QEventLoop(), QTimer()
        deadline = QTimer()
        deadline.setSingleShot(True)
        deadline.timeout.connect(loop.quit)
        timer.timeout.connect(lambda: loop.quit() if future.done() else None)
        timer.start(_POLL_MS)
        deadline.start(_SHOWN_AFTER_MS)
        # What is typed or clicked until then waits: it must not act on half a file.
        loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        deadline.stop()
        if not future.done():
            window = QApplication.activeWindow()
            dialog = QProgressDialog(isolated(sentence), "Cancel", 0, 0, window)
            dialog.setWindowTitle("MUSE")
            dialog.setWindowModality(Qt.WindowModality.ApplicationModal)
            dialog.setMinimumDuration(0)
            dialog.canceled.connect(cancelled.set)
            dialog.show()
            while not future.done():
                loop.exec()
            with suppress(RuntimeError):  # Deleted with the window, which was closed meanwhile.
                dialog.canceled.disconnect(cancelled.set)
                dialog.close()
                dialog.deleteLater()
        timer.stop()
        return future.result()
