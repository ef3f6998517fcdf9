"""Close a viewer's window before the program ends, as a script or IPython does with one open."""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING

from napari_muse.napari_compat import is_closed

if TYPE_CHECKING:
    from napari.viewer import Viewer


def close_at_exit(viewer: Viewer) -> None:
    """Close a viewer at the end of the program, if it is open then.

    Otherwise PyQt deletes all widgets in any order, with Python's functions still connected to
    them, which crashed the process (cleanup_on_exit, PyQt 6.11).
    """
    known = weakref.ref(viewer)

    def close() -> None:
        there = known()
        if there is not None and not is_closed(there):
            there.close()

    atexit.register(close)
