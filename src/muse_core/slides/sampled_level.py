"""Levels whose samples are not 8-bit RGB as stored, and the one intensity scale of a slide."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.array_types import RgbArray
from muse_core.slides.level import Level
from muse_core.slides.pixels import Alpha, Samples, full_intensity
from muse_core.slides.raw_pixels import RawPixels

WHITE = 255
_MAX_PROBED = 64
"""Pieces looked at for the highest value; they lie evenly over the coarsest level."""
_MOST_ALPHA = 1 << 16
"""Of a piece, pixels whose alpha is looked at."""
_ALPHA_EDGE, _LEAST_OPAQUE = 1 / 32, 0.25
"""Tolerance for dark and opaque values in lossy tiles; least share of opaque pixels in alpha."""


class SampledLevel(Level):
    """A level that converts what is stored; readers implement :meth:`_stored`.

    Args:
        name: File name, for messages.
        size: Rows and columns of the level.
        piece: Rows and columns of a piece.
        samples: How to convert.
        stored_type: Of the samples.
    """

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        piece: tuple[int, int],
        *,
        samples: Samples,
        stored_type: np.dtype[Any],
    ) -> None:
        super().__init__(name, size, piece)
        self.samples, self.stored_type = samples, np.dtype(stored_type)

    @abstractmethod
    def _stored(self, row: int, col: int) -> npt.NDArray[Any] | None:
        """Samples (y, x, n) of a piece, or None where nothing is stored. Thread-safe."""

    def _decode(self, row: int, col: int) -> RgbArray:
        stored = self._stored(row, col)
        if stored is None:
            # Scanners leave out tiles without tissue.
            return np.full((self.piece_h, self.piece_w, 3), WHITE, np.uint8)
        return self.samples.to_rgb(stored)

    def probes(self) -> Iterator[npt.NDArray[Any]]:
        """Return samples of some pieces spread over the level; damaged ones are passed over."""
        rows, cols = -(-self.height // self.piece_h), -(-self.width // self.piece_w)
        step = max(1, -(-rows * cols // _MAX_PROBED))
        for index in range(0, rows * cols, step):
            try:
                stored = self._stored(index // cols, index % cols)
            except Exception:
                # A damaged tile is reported when it is read.
                continue
            if stored is not None:
                yield stored


class UncompressedLevel(SampledLevel):
    """Samples (y, x, n) of an array, or uncompressed in a file."""

    def __init__(self, name: str, stored: npt.NDArray[Any] | RawPixels, samples: Samples) -> None:
        height, width = stored.shape[:2]
        super().__init__(
            name, (height, width), (1024, 1024), samples=samples, stored_type=stored.dtype
        )
        self._samples = stored

    def _stored(self, row: int, col: int) -> npt.NDArray[Any]:
        y, x = row * self.piece_h, col * self.piece_w
        return self._samples[y : y + self.piece_h, x : x + self.piece_w]


def settle_samples(levels: Sequence[Level]) -> tuple[str, ...]:
    """Derive from the pixels what the file does not state of its samples, for all levels alike.

    That is the value of full intensity, for samples of more than 8 bits, and whether a sample after
    the colours is alpha.

    Args:
        levels: Of one image, finest first; their ``samples`` are set.

    Returns:
        A sentence for the user about the intensity, or nothing.
    """
    sampled = [level for level in levels if isinstance(level, SampledLevel)]
    wide = [level for level in sampled if level.samples.needs_scaling]
    unclear = [level for level in sampled if level.samples.alpha is Alpha.UNSPECIFIED]
    if not wide and not unclear:
        return ()
    probes = [_Probe.of(stored, sampled[-1].samples) for stored in sampled[-1].probes()]
    notes = _settle_intensity(wide, probes) if wide else ()
    opaque = sampled[-1].samples.highest_alpha
    for level in unclear:
        kind = Alpha.UNASSOCIATED if _is_alpha(probes, opaque) else Alpha.NONE
        level.samples = replace(level.samples, alpha=kind)
    return notes


@dataclass(frozen=True)
class _Probe:
    """Extremes of a piece that was looked at.

    Attributes:
        colour: Its highest colour, 0 where none is a number.
        alpha: (n,) numbers after the colours.
    """

    colour: float
    alpha: npt.NDArray[Any]

    @classmethod
    def of(cls, stored: npt.NDArray[Any], samples: Samples) -> _Probe:
        colours, alpha = samples.colours_of(stored), samples.alpha_of(stored)
        alpha = alpha[np.isfinite(alpha)][:: max(1, alpha.size // _MOST_ALPHA)]
        finite = colours[np.isfinite(colours)]
        return cls(float(finite.max()) if finite.size else 0.0, alpha)


def _settle_intensity(wide: Sequence[SampledLevel], probes: Sequence[_Probe]) -> tuple[str, ...]:
    kind, bits = wide[-1].stored_type, 8 * wide[-1].stored_type.itemsize
    real = kind.kind == "f"
    highest = full_intensity(max((p.colour for p in probes), default=0.0), real)
    # Alpha may have another range than the colours, as where the camera has 12 bits.
    seen = max((float(p.alpha.max()) for p in probes if p.alpha.size), default=0.0)
    opaque = full_intensity(seen, real) if seen > 0 else highest
    for level in wide:
        level.samples = replace(
            level.samples, highest=highest, highest_alpha=opaque, needs_scaling=False
        )
    floating = " floating point" if real else ""
    return (f"Its {bits}-bit{floating} pixels are taken as 8-bit ones, with {highest:g} as white.",)


def _is_alpha(probes: Sequence[_Probe], opaque: float) -> bool:
    """Whether a sample after the colours says how opaque a pixel is.

    Padding is 0 everywhere. In a picture of something else, such as of a dye, few pixels are at the
    upper end of all that are not dark.
    """
    alpha = np.concatenate([p.alpha for p in probes]) if probes else np.zeros(0)
    seen = np.count_nonzero(alpha > _ALPHA_EDGE * opaque)
    full = np.count_nonzero(alpha >= (1 - _ALPHA_EDGE) * opaque)
    return bool(seen and full >= _LEAST_OPAQUE * seen)
