"""TileDetections: the nuclei a network finds in one image. numpy only, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class TileDetections:
    """Nuclei of one image or tile, or of several of one model joined.

    Attributes:
        xy: (n, 2), origin at the corner of the first pixel. float32 pixels of the image as the
            network gives them; float64 once moved to the slide, whose far end float32 would round
            to sixteenths of a pixel.
        score: (n,) float32, nucleus probability, 0 to 1.
        class_probs: (n, K) float32, probability of each class given a nucleus.
        features: (n, C) float16, the decoder's features at the nuclei, where they were asked for.
    """

    xy: Floats
    score: npt.NDArray[np.float32]
    class_probs: npt.NDArray[np.float32]
    features: npt.NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        n = len(self.score)
        lengths = {len(self.xy), len(self.class_probs)}
        lengths |= set() if self.features is None else {len(self.features)}
        if lengths != {n} or self.xy.shape != (n, 2) or self.class_probs.ndim != 2:
            raise ValueError("The parts of these detections are of different lengths.")

    def __len__(self) -> int:
        return len(self.score)

    @property
    def x(self) -> npt.NDArray[np.float64]:
        """(n,) horizontal positions."""
        return self.xy[:, 0].astype(np.float64)

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """(n,) vertical positions."""
        return self.xy[:, 1].astype(np.float64)

    @property
    def class_index(self) -> npt.NDArray[np.int64]:
        """(n,) the likeliest class of each."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        likeliest: npt.NDArray[np.int64] = self.class_probs.argmax(axis=1).astype(np.int64)
        return likeliest

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> TileDetections:
        """The nuclei that a mask (n,) or indices select."""
        return TileDetections(
            self.xy[which],
            self.score[which],
            self.class_probs[which],
            None if self.features is None else self.features[which],
        )

    def moved(self, x_px: float, y_px: float) -> TileDetections:
        """Return the nuclei with their origin moved, in float64."""
        return replace(self, xy=self.xy.astype(np.float64) + np.array([x_px, y_px]))

    def scaled(self, scale_x: float, scale_y: float | None = None) -> TileDetections:
        """Return the nuclei in other pixels, in float64; one factor serves both axes."""
        factors = (scale_x, scale_x if scale_y is None else scale_y)
        return replace(self, xy=self.xy.astype(np.float64) * factors)

    @classmethod
    def none(cls) -> TileDetections:
        """No nuclei, of any number of classes."""
        return cls(np.zeros((0, 2)), np.zeros(0, np.float32), np.zeros((0, 0), np.float32))

    @classmethod
    def join(cls, parts: Sequence[TileDetections]) -> TileDetections:
        """Concatenate lists of nuclei, in order; features are kept where all of them have some."""
        filled = [part for part in parts if len(part)]
        if not filled:
            return cls.none()
        features = [part.features for part in filled if part.features is not None]
        return cls(
            np.concatenate([part.xy for part in filled]),
            np.concatenate([part.score for part in filled]),
            np.concatenate([part.class_probs for part in filled]),
            np.concatenate(features) if len(features) == len(filled) else None,
        )


def within_margin(xy: Floats, size_px: tuple[int, ...], margin_px: float) -> npt.NDArray[np.bool_]:
    """Return (n,) which points of an image lie no nearer to its borders than a margin.

    Args:
        xy: (n, 2).
        size_px: Height and width of the image.
        margin_px: The margin; with 0 also points beyond the borders count.
    """
    if margin_px <= 0:
        return np.ones(len(xy), dtype=bool)
    height, width = size_px
    x, y = xy[:, 0], xy[:, 1]
    across = (x >= margin_px) & (x <= width - margin_px)
    result: npt.NDArray[np.bool_] = across & (y >= margin_px) & (y <= height - margin_px)
    return result
