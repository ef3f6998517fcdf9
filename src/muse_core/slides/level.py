"""One resolution level of a slide: a grid of pieces that decode one by one."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from cachetools import LRUCache

from muse_core.array_types import RgbArray
from muse_core.errors import UserError, out_of_reach

if TYPE_CHECKING:
    import dask.array as da

    from muse_core.slides.raw_pixels import RawPixels


MAX_LEVEL_SIDE_PX = 4_000_000
"""No scanner makes more pixels on a side (1 m at 0.25 um); larger claims are broken headers."""
MAX_LEVEL_PX = 200_000_000_000
"""More than any scanner makes of a glass slide: 112 x 112 mm at 0.25 um."""
MAX_PIECE_PX = 1 << 27
"""Pieces are decoded whole, so one of more pixels than this (400 MB of RGB) is refused."""
_DASK_CHUNK_PX = 1024
_MAX_DASK_CHUNK_PX = 1 << 26
_MAX_DASK_CHUNKS = 1 << 16
"""Each chunk costs dask and the viewer some memory and time before any pixel is read."""


def check_size(name: str, height: int, width: int) -> None:
    """Raise UserError where a file claims a size that no image has."""
    if min(height, width) < 1:
        raise UserError(f"{name} claims to be an image without pixels.")
    if max(height, width) > MAX_LEVEL_SIDE_PX or height * width > MAX_LEVEL_PX:
        raise UserError(f"{name} claims an impossible size of {width} x {height} pixels.")


class PieceCache:
    """Cache of recently decoded pieces of all levels of a slide, bounded in bytes; thread-safe.

    dask's own cache would not do: napari draws through dask, but a detection reads directly.
    """

    def __init__(self, max_bytes: int = 128 << 20) -> None:
        self._pieces: LRUCache[tuple[int, int, int], RgbArray]
        self._pieces = LRUCache(max_bytes, getsizeof=lambda piece: piece.nbytes)
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int, int]) -> RgbArray | None:
        """Return the piece stored under (level, row, column), or None."""
        with self._lock:
            piece: RgbArray | None = self._pieces.get(key)
            return piece

    def put(self, key: tuple[int, int, int], piece: RgbArray) -> None:
        """Store a piece, unless it is larger than all of the cache, and drop the oldest ones."""
        if piece.nbytes <= self._pieces.maxsize:
            with self._lock:
                self._pieces[key] = piece

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._pieces.clear()


class Level(ABC):
    """A level as a grid of pieces (tiles, strips, chunks); readers implement :meth:`_decode`.

    Behaves enough like an array, (y, x, 3) uint8, for ``dask.array.from_array``.

    Args:
        name: File name, for messages.
        size: Rows and columns of the level.
        piece: Rows and columns of a piece.

    Raises:
        UserError: The sizes are impossible or too large to decode.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, name: str, size: tuple[int, int], piece: tuple[int, int]) -> None:
        (height, width), (piece_h, piece_w) = size, piece
        check_size(name, height, width)
        if min(piece_h, piece_w) < 1:
            raise UserError(f"{name} claims to be an image without pixels.")
        self.name = name
        self.shape = (height, width, 3)
        self.piece_h, self.piece_w = min(piece_h, height), min(piece_w, width)
        self._cache = PieceCache()
        self._key = 0
        if piece_h * piece_w > MAX_PIECE_PX:
            raise UserError(
                f"{name} is stored in pieces of {piece_w} x {piece_h} pixels, "
                "which are too large to decode; save it with tiles."
            )

    @property
    def height(self) -> int:
        """Rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.shape[1]

    def share_cache(self, cache: PieceCache, key: int) -> None:
        """Use one cache for all levels of a slide, so that its memory is bounded once."""
        self._cache, self._key = cache, key

    def half(self) -> Level | None:
        """The level at half its size, decoded so from the start; None where that cannot be."""
        return None

    @abstractmethod
    def _decode(self, row: int, col: int) -> RgbArray:
        """Decode one piece; at the right and bottom it may be cut or padded. Thread-safe."""

    def _fetch(self, pieces: Iterable[tuple[int, int]]) -> None:
        """Prefetch pieces; for readers that fetch several at once faster than one by one."""
        del pieces

    def fetch(self, pieces: Iterable[tuple[int, int]]) -> None:
        """Prefetch pieces, so that decoding them does not fetch them one by one."""
        self._fetch(pieces)

    def decode(self, row: int, col: int) -> RgbArray:
        """Decode one piece without the cache; it may be cut or padded. Thread-safe."""
        return self._decode(row, col)

    def _piece(self, row: int, col: int) -> RgbArray:
        key = (self._key, row, col)
        piece = self._cache.get(key)
        if piece is not None:
            return piece
        try:
            piece = self._decode(row, col)
            if piece.ndim != 3 or piece.shape[2] != 3 or piece.dtype != np.uint8:
                raise ValueError(f"a piece has the shape {piece.shape} and type {piece.dtype}")
        except UserError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno:
                raise out_of_reach(self.name, error) from error
            # Codecs raise errors of many kinds on damaged data.
            x, y = col * self.piece_w, row * self.piece_h
            raise UserError(
                f"{self.name} is damaged or truncated: the pixels at x {x}, y {y} "
                f"({self.width} x {self.height} level) cannot be decoded."
            ) from error
        self._cache.put(key, piece)
        return piece

    def read(self, x0: int, y0: int, x1: int, y1: int) -> RgbArray:
        """Pixels of the rectangle [x0, x1) x [y0, y1), which must lie inside the level.

        Returns:
            A new array (y1 - y0, x1 - x0, 3), uint8.

        Raises:
            UserError: The data is damaged.
        """
        out = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
        if not out.size:
            return out
        self._fetch(
            (row, col)
            for row in range(y0 // self.piece_h, (y1 - 1) // self.piece_h + 1)
            for col in range(x0 // self.piece_w, (x1 - 1) // self.piece_w + 1)
            if self._cache.get((self._key, row, col)) is None
        )
        for row in range(y0 // self.piece_h, (y1 - 1) // self.piece_h + 1):
            top = row * self.piece_h
            ya, yb = max(y0, top), min(y1, top + self.piece_h)
            for col in range(x0 // self.piece_w, (x1 - 1) // self.piece_w + 1):
                left = col * self.piece_w
                xa, xb = max(x0, left), min(x1, left + self.piece_w)
                part = self._piece(row, col)[ya - top : yb - top, xa - left : xb - left]
                if part.shape[:2] != (yb - ya, xb - xa):
                    raise UserError(f"{self.name} is damaged: a tile is smaller than it should be.")
                out[ya - y0 : yb - y0, xa - x0 : xb - x0] = part
        return out

    def __getitem__(self, key: tuple[slice, ...]) -> RgbArray:
        """Slices with step 1, which is what dask asks for."""
        y, x = key[0].indices(self.height), key[1].indices(self.width)
        channels = key[2] if len(key) > 2 else slice(None)
        return self.read(x[0], y[0], max(x[0], x[1]), max(y[0], y[1]))[:, :, channels]

    def to_dask(self) -> da.Array:
        """The level as a lazy array (y, x, 3) uint8, in chunks of whole pieces of about 1 Mpx."""
        import dask.array as da

        result: da.Array = da.from_array(
            self,
            chunks=(*self._dask_chunk(), 3),
            name=f"slide-level-{uuid4().hex}",
            asarray=True,
            fancy=False,
            meta=np.empty((0, 0, 0), np.uint8),
        )
        return result

    def _dask_chunk(self) -> tuple[int, int]:
        """Rows and columns of a chunk: not too small, too large or too many of them."""
        # A chunk per 240 px tile would give a whole slide hundreds of thousands of tasks.
        rows, cols = (math.ceil(_DASK_CHUNK_PX / n) for n in (self.piece_h, self.piece_w))
        # A strip is as wide as its level, so that 1,024 rows of them may take gigabytes.
        most = max(1, _MAX_DASK_CHUNK_PX // (self.piece_h * self.piece_w))
        cols = min(cols, most)
        rows = min(rows, max(1, most // cols))
        chunk_h, chunk_w = self.piece_h * rows, self.piece_w * cols
        while math.ceil(self.height / chunk_h) * math.ceil(self.width / chunk_w) > _MAX_DASK_CHUNKS:
            chunk_h, chunk_w = 2 * chunk_h, 2 * chunk_w
        return chunk_h, chunk_w


class ArrayLevel(Level):
    """A level that is (y, x, 3) uint8 already, an array or uncompressed in a file."""

    def __init__(self, name: str, pixels: RgbArray | RawPixels) -> None:
        height, width = pixels.shape[:2]
        super().__init__(name, (height, width), (1024, 1024))
        self._pixels = pixels

    def read(self, x0: int, y0: int, x1: int, y1: int) -> RgbArray:
        """See :meth:`Level.read`; no detour through pieces."""
        part = self._pixels[y0:y1, x0:x1]
        # That of an array is a view; what is read from a file is new already.
        return part.copy() if isinstance(self._pixels, np.ndarray) else part

    def _decode(self, row: int, col: int) -> RgbArray:
        y, x = row * self.piece_h, col * self.piece_w
        return self._pixels[y : y + self.piece_h, x : x + self.piece_w]
