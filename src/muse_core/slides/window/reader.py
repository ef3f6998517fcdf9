"""Read an image of a window in a job that the window has started."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import cast

import numpy as np

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.slides.arrays import slide_from_arrays
from muse_core.slides.choice import ImageChoice
from muse_core.slides.level import Level
from muse_core.slides.slide import SlideSource, pyramid
from muse_core.slides.window.graph import MAX_PACKED_BYTES, unpacked_arrays
from muse_core.slides.window.key import fingerprint_in, given_key, read_address, window_key
from muse_core.slides.window.messages import WindowImage

_PIECE_PX = 1024
_PATIENCE_S = 600.0
"""Timeout for one tile; a window that is closed is noticed at once."""
_LONGEST_ANSWER = 1 << 20
_PROBE_PX = 64


def open_window_image(path: Path, choice: ImageChoice) -> SlideSource:
    """Open an image that a napari window shows, by its placeholder file.

    Lazy arrays are computed in this process if they give the same pixels here.

    Raises:
        UserError: The window has gone, or this process was not started by it.
    """
    link = _Link(path)
    about = link.describe()
    name = about["name"]
    served = [
        _WindowLevel(name, h, w, link, number) for number, (h, w) in enumerate(about["levels"])
    ]
    levels, downsamples = pyramid(served)
    own = _own_levels(link, name, levels)
    return SlideSource(
        path,
        about["format"],
        own or levels,
        downsamples,
        mpp=about["mpp"],
        mpp_note=about["mpp_note"],
        close=link.close,
        notes=tuple(about["notes"]),
        rest=link.rest,
        name=name,
    )


def _own_levels(link: _Link, name: str, served: tuple[Level, ...]) -> tuple[Level, ...] | None:
    """Return the levels computed in this process, or None where that cannot be done."""
    arrays = unpacked_arrays(link.ask_for_bytes({"what": "arrays"}, MAX_PACKED_BYTES))
    if arrays is None:
        return None
    try:
        levels = slide_from_arrays(arrays, name=name).source.levels
        if [level.shape for level in levels] != [level.shape for level in served]:
            return None
        # The values may depend on the process: on its paths, random numbers or changed state.
        height, width = levels[0].shape[:2]
        y, x = max(0, height // 2 - _PROBE_PX), max(0, width // 2 - _PROBE_PX)
        area = (x, y, min(width, x + _PROBE_PX), min(height, y + _PROBE_PX))
        same = np.array_equal(levels[0].read(*area), served[0].read(*area))
    except UserError:
        return None
    return levels if same else None


class _Link:
    """A pool of connections to a window, one for each reading thread; thread-safe."""

    def __init__(self, path: Path) -> None:
        self._image = fingerprint_in(path)
        self._name = path.stem
        address = read_address(path.parent.parent)
        if address is None:
            raise self._gone()
        # A window can read its own image.
        self._key, self._address = given_key() or window_key(), address
        self._idle: list[Connection] = []
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._closed = False

    def describe(self) -> WindowImage:
        """Ask what the image is; raises UserError where the answer is a refusal, or none."""
        return cast(WindowImage, self._exchange({"what": "describe"}, None)[0])

    def ask_for_bytes(self, request: Mapping[str, object], longest: int) -> bytes:
        """Return the bytes that follow an answer; raises UserError."""
        return self._exchange(request, longest)[1]

    def rest(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            with contextlib.suppress(OSError):
                connection.close()

    def close(self) -> None:
        """Close for good."""
        self._closed = True
        self.rest()

    def _exchange(self, request: Mapping[str, object], longest: int | None) -> tuple[object, bytes]:
        connection = self._take()
        try:
            connection.send_bytes(json.dumps({"image": self._image, **request}).encode())
            answer = json.loads(self._receive(connection, _LONGEST_ANSWER))
            refused = "error" in answer
            data = b"" if longest is None or refused else self._receive(connection, longest)
        except (OSError, EOFError) as error:
            connection.close()
            raise self._gone() from error
        self._give_back(connection)
        if refused:
            raise UserError(str(answer["error"]))
        return answer, data

    def _receive(self, connection: Connection, longest: int) -> bytes:
        if not connection.poll(_PATIENCE_S):
            raise UserError(f"The napari window takes too long to give pixels of {self._name}.")
        return connection.recv_bytes(longest)

    def _take(self) -> Connection:
        if self._closed:
            raise UserError(f"{self._name} was closed.")
        with self._lock:
            if self._process != os.getpid():
                # A process that was forked has the connections of its parent, which uses them.
                self._process, self._idle = os.getpid(), []
            if self._idle:
                return self._idle.pop()
        try:
            return Client(self._address, authkey=self._key)
        except AuthenticationError as error:
            raise UserError(
                f"{self._name} is an image of another napari window; only the MUSE panel of that"
                " window can work on it. Save the image to a file to use it elsewhere."
            ) from error
        except (OSError, EOFError) as error:
            raise self._gone() from error

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _gone(self) -> UserError:
        return UserError(f"The napari window that showed {self._name} has been closed.")


class _WindowLevel(Level):
    """A level that the window reads."""

    def __init__(self, name: str, height: int, width: int, link: _Link, index: int) -> None:
        super().__init__(name, (height, width), (_PIECE_PX, _PIECE_PX))
        self._link, self._index = link, index

    def _decode(self, row: int, col: int) -> RgbArray:
        y, x = row * self.piece_h, col * self.piece_w
        y1, x1 = min(y + self.piece_h, self.height), min(x + self.piece_w, self.width)
        request = {"what": "read", "level": self._index, "area": [x, y, x1, y1]}
        data = self._link.ask_for_bytes(request, (y1 - y) * (x1 - x) * 3)
        return np.frombuffer(data, np.uint8).reshape(y1 - y, x1 - x, 3)
