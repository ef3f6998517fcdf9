"""Slides from arrays, in memory or lazy: numpy, dask, zarr and others that index alike."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.slides.level import PieceCache
from muse_core.slides.pixels import Alpha, Colours, Samples
from muse_core.slides.sampled_level import SampledLevel, settle_samples
from muse_core.slides.slide import Slide, SlideSource, pyramid

_PIECE_PX = 1024
_LARGEST_PIECE_PX = 1 << 26
"""Larger chunks are read in pieces. Each computes the chunk again, which is too large to cache."""
_LEAST_CACHE_BYTES, _MOST_CACHE_BYTES = 128 << 20, 512 << 20
_CACHED_PIECES = 4
"""A tile may lie on up to four pieces."""
_PATCHES, _PATCH_PX = 8, 64
"""A fingerprint looks at this many patches along each axis, this wide."""
_MOST_LAYERS = 50
"""Most layers of a dask graph; graphs with more are flattened, which takes memory for each task."""
_SAMPLES = {
    1: Samples(Colours.GRAY),
    3: Samples(Colours.RGB),
    4: Samples(Colours.RGB, Alpha.UNASSOCIATED),
}
_OF_FLOATS = ' Values from 0 to 1 become uint8 by (255 * array).round().astype("uint8").'
_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True)
class ArrayAxes:
    """Meaning of the axes of an array.

    Attributes:
        shape: Of the array.
        lead: Axes of length 1 before those of the image.
        channels_first: Whether colours come before y and x.
        channels: How many colours, with alpha; 0 where this is no image.
    """

    shape: tuple[int, ...]
    lead: int
    channels_first: bool
    channels: int

    @classmethod
    def of(cls, array: Any) -> ArrayAxes:
        """Derive the meaning of the axes from the shape alone."""
        shape = tuple(int(n) for n in getattr(array, "shape", ()))
        lead = next((i for i, n in enumerate(shape[:-3]) if n != 1), max(len(shape) - 3, 0))
        own = shape[lead:]
        first = len(own) == 3 and own[2] not in (1, 3, 4) and own[0] in (1, 3, 4)
        if len(own) == 2:
            return cls(shape, lead, False, 1)
        channels = own[0 if first else 2] if len(own) == 3 else 0
        return cls(shape, lead, first, channels)

    @property
    def y(self) -> int:
        """The axis of rows; that of columns is the next one."""
        return self.lead + self.channels_first

    def index(self, y: slice, x: slice) -> tuple[Any, ...]:
        """Return the index that cuts a rectangle out of the array."""
        colours = (slice(None),) if self.channels_first else ()
        return (*(0,) * self.lead, *colours, y, x)

    def in_order(self, piece: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what :meth:`index` gave as (y, x, channels)."""
        if self.channels_first:
            return np.moveaxis(piece, 0, -1)
        return piece[:, :, None] if piece.ndim == 2 else piece


class ArraysLevel(SampledLevel):
    """One array (y, x), (y, x, c) or (c, y, x), read piece by piece."""

    def __init__(self, name: str, array: Any, axes: ArrayAxes, samples: Samples) -> None:
        height, width = axes.shape[axes.y : axes.y + 2]
        piece = _piece_size(array, axes)
        super().__init__(name, (height, width), piece, samples=samples, stored_type=array.dtype)
        self._array, self._axes = array, axes

    @property
    def array(self) -> Any:
        """The array as it was given."""
        return self._array

    def read(self, x0: int, y0: int, x1: int, y1: int) -> RgbArray:
        """See :meth:`Level.read`; pieces of arrays in memory are not cached."""
        if not isinstance(self._array, np.ndarray):
            return super().read(x0, y0, x1, y1)
        return np.array(self.samples.to_rgb(self._cut(slice(y0, y1), slice(x0, x1))))

    def _stored(self, row: int, col: int) -> npt.NDArray[Any]:
        y, x = row * self.piece_h, col * self.piece_w
        return self._cut(
            slice(y, min(y + self.piece_h, self.height)),
            slice(x, min(x + self.piece_w, self.width)),
        )

    def _cut(self, y: slice, x: slice) -> npt.NDArray[Any]:
        (piece,) = _computed([self._array[self._axes.index(y, x)]])
        return self._axes.in_order(piece)

    def fingerprint(self) -> str:
        """SHA-256 over the size, the type and an even sample of what is stored, hexadecimal.

        The same for the same image in numpy, dask or zarr, in any order of axes and in chunks of
        any size. Of a large image each chunk on a grid is computed once.

        Raises:
            UserError: The array cannot be read.
        """
        digest = hashlib.sha256()
        facts = (self.height, self.width, self._axes.channels, self.stored_type.name)
        digest.update(repr(facts).encode())
        places = [(y, x) for y in _patches(self.height) for x in _patches(self.width)]
        try:
            for patch in _computed([self._array[self._axes.index(y, x)] for y, x in places]):
                stored = self._axes.in_order(patch)
                digest.update(stored.astype(stored.dtype.newbyteorder("<")).tobytes())
        except Exception as error:
            # Whatever the graph of somebody's array raises.
            raise UserError(f"{self.name} cannot be read: {_reason(error)}.") from error
        return digest.hexdigest()


def slide_from_arrays(levels: Any, mpp: float | None = None, name: str = "array") -> Slide:
    """Return a slide over an array or a pyramid of arrays; nothing is copied.

    Args:
        levels: An array (y, x), (y, x, 3 or 4) or (3 or 4, y, x), uint8 or uint16, of numpy, dask
            or zarr; or a list of them, one for each level. The fourth channel is alpha. Axes of
            length 1 may come before.
        mpp: Microns per pixel of the largest array, or None while it is unknown.
        name: What messages call it.

    Raises:
        UserError: An array has another shape or type, or mpp is impossible.

    Example:
        >>> import numpy as np
        >>> slide = slide_from_arrays(np.full((300, 400, 3), 255, np.uint8), mpp=0.5)
        >>> slide.width, slide.height, slide.mpp
        (400, 300, 0.5)
    """
    return Slide(arrays_source(levels, name), mpp)


def arrays_source(levels: Any, name: str) -> SlideSource:
    """Return the source of :func:`slide_from_arrays`; raises UserError as it does."""
    if levels is None:
        # As cv2.imread gives it.
        raise UserError("There is no image: None was given, as some readers return for no file.")
    arrays = list(levels) if isinstance(levels, list | tuple) else [levels]
    if not arrays:
        raise UserError(f"{name} has no levels.")
    found = [array_level(array, name) for array in arrays]
    kept, downsamples = pyramid(found)
    piece_bytes = max(level.piece_h * level.piece_w * 3 for level in kept)
    wanted = min(max(_LEAST_CACHE_BYTES, _CACHED_PIECES * piece_bytes), _MOST_CACHE_BYTES)
    cache = PieceCache(wanted)
    for number, level in enumerate(kept):
        level.share_cache(cache, number)
    notes = settle_samples(kept)
    return SlideSource(Path(name), "array", kept, downsamples, notes=notes, name=name)


def array_level(array: Any, name: str) -> ArraysLevel:
    """A level over an array; raises UserError where it is no image."""
    if np.ma.is_masked(array) or isinstance(getattr(array, "_meta", None), np.ma.MaskedArray):
        # What lies under a mask is often nonsense, and whether it is to be glass is not said.
        raise UserError(
            f"{name} has masked pixels; numpy.ma.filled(array, 255), or dask.array.ma.filled(array,"
            " 255), makes them white."
        )
    axes, dtype = _axes_of(array, name), _dtype_of(array, name)
    # Big-endian files give big-endian arrays.
    if dtype.newbyteorder("=") not in _TYPES:
        # The range of floats is a convention that the array does not state.
        advice = _OF_FLOATS if dtype.kind == "f" else ""
        raise UserError(
            f"{name} holds {dtype} values; images of uint8 or uint16 can be read.{advice}"
        )
    if axes.channels not in _SAMPLES:
        raise UserError(
            f"{name} has the shape {axes.shape}; RGB images are (y, x, 3) or (3, y, x), with alpha"
            " 4."
        )
    samples = _SAMPLES[axes.channels]
    if dtype.itemsize > 1:
        samples = Samples(samples.colours, samples.alpha, needs_scaling=True)
    return ArraysLevel(name, _flat(array), axes, samples)


def _axes_of(array: Any, name: str) -> ArrayAxes:
    named = _names_of_axes(array)
    if "x" in named and "y" in named and named.index("x") < named.index("y"):
        raise UserError(
            f"{name} has the axes {', '.join(named)}; rows come first, so transpose it to have y"
            " before x."
        )
    try:
        return ArrayAxes.of(array)
    except ValueError as error:
        # As of dask arrays that were filtered, or come from a table.
        raise UserError(
            f"{name} has a side of unknown length; call its compute_chunk_sizes() first."
        ) from error


def _names_of_axes(array: Any) -> list[str]:
    """Names of the axes, lower case, of arrays that have some: of xarray, and of Zarr v3."""
    stored = getattr(getattr(array, "metadata", None), "dimension_names", None)
    names = getattr(array, "dims", stored)
    return [str(n).lower() for n in names] if isinstance(names, tuple | list) else []


def _dtype_of(array: Any, name: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(array.dtype)
    except (AttributeError, TypeError) as error:
        # Tensors of torch have types of their own.
        raise UserError(
            f"{name} is a {type(array).__name__}; arrays of numpy, dask and zarr can be read, so"
            " give numpy.asarray(...) of it."
        ) from error
    return dtype


def _flat(array: Any) -> Any:
    """Flatten the graph of a dask array with many layers; other arrays are returned as they are.

    dask traverses all layers of a graph for each slice. An array concatenated from many files has
    thousands of layers, which took seconds.
    """
    if not hasattr(array, "__dask_graph__"):
        return array
    import dask.array as da

    graph = array.__dask_graph__()
    if not isinstance(array, da.Array) or len(getattr(graph, "layers", ())) <= _MOST_LAYERS:
        return array
    return da.Array(dict(graph), array.name, array.chunks, dtype=array.dtype)


def _piece_size(array: Any, axes: ArrayAxes) -> tuple[int, int]:
    """Rows and columns of a piece: whole chunks where the array has some, for each is computed."""
    try:
        # Those of dask are the sizes of all along an axis, those of others one size.
        sizes = [max(c) if isinstance(c, tuple) else int(c) for c in array.chunks]
        chunk_h, chunk_w = sizes[axes.y : axes.y + 2]
    except (AttributeError, TypeError, ValueError):
        return _PIECE_PX, _PIECE_PX
    height, width = (max(1, _PIECE_PX // max(n, 1)) * max(n, 1) for n in (chunk_h, chunk_w))
    if height * width > _LARGEST_PIECE_PX:
        return 2 * _PIECE_PX, 2 * _PIECE_PX
    return height, width


def _computed(pieces: Sequence[Any]) -> list[npt.NDArray[Any]]:
    """Parts of arrays in memory; what several lazy ones have in common is computed once."""
    import dask

    if not any(dask.is_dask_collection(piece) for piece in pieces):
        return [np.asarray(piece) for piece in pieces]
    # In this thread, unless a dask cluster is in use: there are enough readers, and a thread pool
    # would compete with the viewer.
    scheduler = dask.config.get("scheduler", None) or "synchronous"
    return [np.asarray(piece) for piece in dask.compute(*pieces, scheduler=scheduler)]


def _patches(side: int) -> list[slice]:
    """Return the ranges that a fingerprint reads along an axis: all, or patches from end to end."""
    if side <= _PATCHES * _PATCH_PX:
        return [slice(0, side)]
    starts = np.linspace(0, side - _PATCH_PX, _PATCHES).round().astype(int)
    return [slice(int(start), int(start) + _PATCH_PX) for start in starts]


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (
        f"{type(error).__name__}: {lines[0][:200].rstrip('.')}" if lines else type(error).__name__
    )
