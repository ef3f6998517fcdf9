"""Levels whose samples are not 8-bit RGB as stored, and the one intensity scale of a slide."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.array_types import RgbArray
from muse_core.slides.level import Level
from muse_core.slides.pixels import Samples, full_intensity

_WHITE = 255
_MAX_PROBED = 64
"""Pieces looked at for the highest value; they lie evenly over the coarsest level."""


class SampledLevel(Level):
    """A level that converts what is stored; readers implement :meth:`_stored`.

    Args:
        name: File name, for messages.
        height: Rows of the level.
        width: Columns of the level.
        piece_h: Rows of a piece.
        piece_w: Columns of a piece.
        samples: How to convert.
        stored_type: Of the samples.
    """

    def __init__(
        self,
        name: str,
        height: int,
        width: int,
        piece_h: int,
        piece_w: int,
        samples: Samples,
        stored_type: np.dtype[Any],
    ) -> None:
        super().__init__(name, height, width, piece_h, piece_w)
        self.samples, self.stored_type = samples, np.dtype(stored_type)

    @abstractmethod
    def _stored(self, row: int, col: int) -> npt.NDArray[Any] | None:
        """Samples (y, x, n) of a piece, or None where nothing is stored. Thread-safe."""

    def _decode(self, row: int, col: int) -> RgbArray:
        stored = self._stored(row, col)
        if stored is None:
            # Scanners leave out tiles without tissue.
            return np.full((self.piece_h, self.piece_w, 3), _WHITE, np.uint8)
        return self.samples.to_rgb(stored)

    def highest(self) -> float:
        """Highest of the colours of some pieces spread over the level, or 0."""
        rows, cols = -(-self.height // self.piece_h), -(-self.width // self.piece_w)
        step = max(1, -(-rows * cols // _MAX_PROBED))
        found = 0.0
        for index in range(0, rows * cols, step):
            try:
                stored = self._stored(index // cols, index % cols)
                colours = None if stored is None else self.samples.colours_of(stored)
                if colours is not None and np.isfinite(colours).any():
                    found = max(found, float(colours[np.isfinite(colours)].max()))
            except Exception:
                # A damaged tile is told of when it is asked for.
                continue
        return found


class MappedLevel(SampledLevel):
    """Samples (y, x, n) mapped from an uncompressed file."""

    def __init__(self, name: str, stored: npt.NDArray[Any], samples: Samples) -> None:
        height, width = stored.shape[:2]
        super().__init__(name, height, width, 1024, 1024, samples, stored.dtype)
        self._mapped = stored

    def _stored(self, row: int, col: int) -> npt.NDArray[Any]:
        y, x = row * self.piece_h, col * self.piece_w
        return self._mapped[y : y + self.piece_h, x : x + self.piece_w]


def settle_intensity(levels: Sequence[Level]) -> tuple[str, ...]:
    """Find the value of full intensity where it is not that of 8 bits, the same for all levels.

    Args:
        levels: Of one image, finest first; their ``samples`` are set.

    Returns:
        A sentence for the user about what was found, or nothing.
    """
    wide = [x for x in levels if isinstance(x, SampledLevel) and x.samples.needs_scaling]
    if not wide:
        return ()
    kind, bits = wide[-1].stored_type, 8 * wide[-1].stored_type.itemsize
    seen = wide[-1].highest()
    highest = full_intensity(seen, kind.kind == "f")
    opaque = highest if kind.kind == "f" else float(np.iinfo(kind).max)
    for level in wide:
        level.samples = replace(
            level.samples, highest=highest, highest_alpha=opaque, needs_scaling=False
        )
    real = " floating point" if kind.kind == "f" else ""
    return (f"Its {bits}-bit{real} pixels are taken as 8-bit ones, with {highest:g} as white.",)
