"""Close a viewer's window before the program ends, as a script or IPython does with one open."""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING

from napari_muse.layers.slide_layers import slide_layers
from napari_muse.napari_compat import is_closed

if TYPE_CHECKING:
    from napari_muse.session import MuseSession


def close_at_exit(session: MuseSession) -> None:
    """Close a session's viewer at the end of the program, if it is open then.

    Otherwise PyQt deletes all widgets in any order, with Python's functions still connected to
    them, which crashed the process (cleanup_on_exit, PyQt 6.11).
    """
    known, viewer = weakref.ref(session), weakref.ref(session.viewer)

    def close() -> None:
        there, session = viewer(), known()
        if there is None or is_closed(there):
            return
        # No thread can be started any more: nothing is drawn again, and the current slide is
        # removed last, so that no other is read in its place.
        for layer in there.layers:
            layer.visible = False
        for layer in slide_layers(there):
            if session is not None and layer is not session.image_layer:
                there.layers.remove(layer)
        there.close()

    atexit.register(close)
