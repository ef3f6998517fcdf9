"""Serve images of a window to its jobs, tile by tile, in background threads."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import sys
import tempfile
import threading
import weakref
from collections.abc import Mapping
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.ordinary import temporary_folder
from muse_core.slides.slide import Slide, SlideSource
from muse_core.slides.window.graph import packed_arrays
from muse_core.slides.window.key import (
    LAYER_SUFFIX,
    file_content,
    fingerprint_in,
    safe_name,
    window_key,
    write_address,
)
from muse_core.slides.window.messages import WindowImage

_LOG = logging.getLogger(__name__)
MAX_REQUEST_BYTES = 4096
MAX_REQUEST_PX = 1 << 24
"""Of one request (50 MB)."""
_BACKLOG = 16
_AT_ONCE = 2
"""Tiles that are computed at the same time: the window needs the processor too."""
_LONGEST_WAKE_S = 2.0
_GONE = "the image is no longer open in the napari window"


class WindowServer:
    """Serves images to the processes that know this process's key.

    It starts with the first image and holds only weak references: an image that the window drops
    stays available only to jobs that are reading it. If the process is killed, an empty folder is
    left behind; otherwise nothing.
    """

    def __init__(self) -> None:
        self._offers: dict[str, _Offer] = {}
        self._lock = threading.Lock()
        self._serving: _Serving | None = None

    def file_for(self, name: str, fingerprint: str) -> Path:
        """Create the placeholder file of an image; :meth:`lend` then provides its pixels.

        Args:
            name: Name of the image, for people.
            fingerprint: Hash of its content, the same in every window.

        Raises:
            UserError: There is no room or folder for it.
        """
        with self._lock:
            try:
                if self._serving is None:
                    scratch = temporary_folder(f"{name} cannot be lent to a job")
                    self._serving = _Serving(self._offers, scratch)
                    weakref.finalize(self, self._serving.close)
                folder = self._serving.folder / fingerprint[:32]
                folder.mkdir(exist_ok=True)
                known = next(folder.glob(f"*{LAYER_SUFFIX}"), None)
                path = known or folder / f"{safe_name(name)}{LAYER_SUFFIX}"
                path.write_bytes(file_content(fingerprint))
            except OSError as error:
                raise UserError(
                    f"{name} cannot be lent to a job: {error.strerror or error}."
                ) from error
            return path

    def lend(self, slide: Slide) -> None:
        """Let jobs read a slide whose path is its placeholder file.

        Raises:
            UserError: The path is not a placeholder file.
        """
        self._offers[fingerprint_in(slide.path)] = _Offer(slide)

    def close(self) -> None:
        """Stop; jobs that are reading are told that the window has gone."""
        with self._lock:
            serving, self._serving = self._serving, None
        if serving is not None:
            serving.close()


class _Offer:
    """A slide as it is lent; it stays alive only while somebody else has it."""

    def __init__(self, slide: Slide) -> None:
        self._source = weakref.ref(slide.source)
        self._packed: bytes | None = None
        self._lock = threading.Lock()

    def source(self) -> SlideSource:
        """The levels; raises UserError where the window has let go of them."""
        source = self._source()
        if source is None:
            raise UserError(f"The job cannot go on: {_GONE}.")
        return source

    def describe(self, source: SlideSource) -> WindowImage:
        """Return the description of the image that a job needs."""
        return {
            "name": source.name or source.path.name,
            "format": source.format,
            "mpp": source.mpp,
            "mpp_note": source.mpp_note,
            "downsamples": list(source.downsamples),
            "levels": [[level.height, level.width] for level in source.levels],
            "notes": list(source.notes),
        }

    def packed(self, source: SlideSource) -> bytes:
        """Its arrays, where a job can read them by itself; else nothing."""
        with self._lock:
            if self._packed is None:
                self._packed = packed_arrays(source.levels)
            return self._packed


class _Serving:
    """The listener and its threads, separate from the server so that they do not keep it alive."""

    def __init__(self, offers: dict[str, _Offer], scratch: str) -> None:
        self._offers = offers
        self._key = window_key()
        self._closed = False
        self._connections: set[Any] = set()
        self._ending = threading.Lock()
        self._turn = threading.Semaphore(_AT_ONCE)
        self.folder = Path(tempfile.mkdtemp(prefix="muse-window-", dir=scratch))
        self._listener = _listener(self._key)
        write_address(self.folder, self._listener.address)
        self._accepting = threading.Thread(target=self._accept, name="muse-window", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Take everything down; may be called more than once."""
        if self._closed:
            return
        self._closed = True
        # Only a connection wakes the thread that waits for one. It is made in a further thread,
        # because nobody answers it if the waiting one has just ended by itself.
        # At the end of the process there are no new threads, and the waiting one ends with it.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._wake, name="muse-wake", daemon=True).start()
            self._accepting.join(_LONGEST_WAKE_S)
        with contextlib.suppress(OSError):
            self._listener.close()
        for connection in list(self._connections):
            self._hang_up(connection)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wake(self) -> None:
        with contextlib.suppress(OSError, EOFError, AuthenticationError):
            Client(self._listener.address, authkey=self._key).close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError) as error:
                if not self._closed:
                    _LOG.warning("a process that wanted pixels was turned away: %s", error)
                continue
            self._connections.add(connection)
            threading.Thread(
                target=self._serve, args=(connection,), name="muse-lend", daemon=True
            ).start()

    def _serve(self, connection: Connection) -> None:
        try:
            # A strong reference: a job can finish reading an image that the window drops.
            held: tuple[_Offer, SlideSource] | None = None
            while not self._closed:
                request = json.loads(connection.recv_bytes(MAX_REQUEST_BYTES))
                try:
                    if held is None:
                        offer = self._offer(request)
                        held = offer, offer.source()
                    answer, pixels = self._answer(request, *held)
                except UserError as error:
                    answer, pixels = {"error": str(error)}, None
                except (MemoryError, ValueError, RuntimeError) as error:
                    answer, pixels = {"error": f"The image cannot be read: {error}."}, None
                connection.send_bytes(json.dumps(answer).encode())
                if pixels is not None:
                    connection.send_bytes(pixels)
        except (OSError, EOFError):
            pass  # The job has ended.
        except Exception:
            _LOG.exception("a job asked for pixels in a way that is not understood")
        finally:
            self._end(connection)

    def _hang_up(self, connection: Connection) -> None:
        """End the wait of the thread that serves it, which then closes it.

        Closed by another thread, its number might be another file's when that thread reads on.
        """
        with self._ending, contextlib.suppress(OSError):
            if connection not in self._connections:
                return
            if sys.platform == "win32":
                connection.close()
                return
            with socket.socket(fileno=os.dup(connection.fileno())) as end:
                end.shutdown(socket.SHUT_RDWR)

    def _end(self, connection: Connection) -> None:
        with self._ending, contextlib.suppress(OSError):
            self._connections.remove(connection)
            connection.close()

    def _offer(self, request: Mapping[str, Any]) -> _Offer:
        offer = self._offers.get(str(request["image"]))
        if offer is None:
            raise UserError(f"The job cannot begin: {_GONE}.")
        return offer

    def _answer(
        self, request: Mapping[str, Any], offer: _Offer, source: SlideSource
    ) -> tuple[Mapping[str, object], Any]:
        if request["what"] == "describe":
            return offer.describe(source), None
        if request["what"] == "arrays":
            return {}, offer.packed(source)
        x0, y0, x1, y1 = map(int, request["area"])
        level = source.levels[int(request["level"])]
        inside = 0 <= x0 < x1 <= level.width and 0 <= y0 < y1 <= level.height
        if not inside or (x1 - x0) * (y1 - y0) > MAX_REQUEST_PX:
            raise UserError("A job asked for pixels that there are not.")
        with self._turn:
            pixels: RgbArray = level.read(x0, y0, x1, y1)
        return {}, pixels.data.cast("B")


def _listener(key: bytes) -> Listener:
    """Listen on a local socket; by TCP where the temporary folder's name is too long for one."""
    try:
        return Listener(backlog=_BACKLOG, authkey=key)
    except OSError:
        return Listener(("127.0.0.1", 0), backlog=_BACKLOG, authkey=key)
