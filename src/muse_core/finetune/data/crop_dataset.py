"""Training samples: random crops with their nuclei, reproducible by seed and index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from muse_core.finetune.config import ViewConfig
from muse_core.finetune.data.appearance import alter_storage
from muse_core.finetune.data.digests import digest_of_attributes
from muse_core.finetune.data.views import look_up, random_geometry, render


class Source(Protocol):
    """Image that samples are drawn from."""

    @property
    def weight(self) -> float:
        """Relative frequency."""

    @property
    def labelled(self) -> bool:
        """Whether anything is annotated in it."""

    def draw(self, rng: np.random.Generator) -> SourceImage:
        """An image to cut a sample from."""

    def digest(self) -> str:
        """Hash of everything that samples are drawn from, hexadecimal."""


@dataclass(frozen=True)
class SourceImage:
    """An annotated image in memory.

    Attributes:
        image: (H, W, 3) uint8.
        xy: (N, 2) float32, pixels.
        classes: (N,) int64, index into the classes of its label set.
        label_set: Index of its label set; 0 is the model's own.
        mpp: Microns per pixel.
        weight: Relative frequency.
        nucleus_weights: (N,) float32, how much each nucleus counts; None is 1 for all.
        known: (H, W) bool, where all nuclei are annotated; None is everywhere.
        free: (H, W) bool, where pseudo-labels may stand in for annotations; None is nowhere.
    """

    image: npt.NDArray[np.uint8]
    xy: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    label_set: int
    mpp: float
    weight: float
    nucleus_weights: npt.NDArray[np.float32] | None = None
    known: npt.NDArray[np.bool_] | None = None
    free: npt.NDArray[np.bool_] | None = None

    @classmethod
    def without_labels(cls, image: npt.NDArray[np.uint8], mpp: float) -> Self:
        """An image without annotations: nothing is known and all is free; its weight is 1."""
        nothing = np.zeros(image.shape[:2], dtype=bool)
        return cls(
            image=image,
            xy=np.zeros((0, 2), dtype=np.float32),
            classes=np.zeros(0, dtype=np.int64),
            label_set=0,
            mpp=mpp,
            weight=1.0,
            known=nothing,
            free=~nothing,
        )

    @property
    def labelled(self) -> bool:
        """Whether anything is annotated in it."""
        return self.known is None or bool(self.known.any())

    def draw(self, rng: np.random.Generator) -> Self:
        """The image itself; draws nothing."""
        return self

    def digest(self) -> str:
        """Hash of all pixels and nuclei, hexadecimal."""
        return digest_of_attributes(self)

    @cached_property
    def focus(self) -> tuple[float, float, float, float] | None:
        """Bounding box x0, y0, x1, y1 of ``known``, pixels; None where views may lie anywhere."""
        if self.known is None or not self.known.any():
            return None
        rows, columns = np.flatnonzero(self.known.any(1)), np.flatnonzero(self.known.any(0))
        return (float(columns[0]), float(rows[0]), columns[-1] + 1.0, rows[-1] + 1.0)


@dataclass(frozen=True)
class Sample:
    """One crop: image (3, S, S), xy (N, 2), classes and weights (N,), known and free (S, S) bool.

    Where ``known`` is False, nuclei are not annotated and nothing counts as background. Where
    ``free`` is True, pseudo-labels may be used instead.
    """

    image: Tensor
    xy: Tensor
    classes: Tensor
    label_set: int
    known: Tensor
    weights: Tensor
    free: Tensor


@dataclass(frozen=True)
class CropBatch:
    """Samples side by side; images, ``known`` and ``free`` are stacked, the rest are lists."""

    image: Tensor
    xy: list[Tensor]
    classes: list[Tensor]
    label_set: list[int]
    known: Tensor
    weights: list[Tensor]
    free: Tensor

    def part(self, start: int, stop: int) -> CropBatch:
        """The samples from ``start`` to before ``stop``."""
        return CropBatch(**{name: value[start:stop] for name, value in vars(self).items()})


class CropDataset(Dataset[Sample]):
    """Random crops of images; item ``i`` depends on the seed and ``i`` alone."""

    def __init__(
        self,
        sources: Sequence[Source],
        views: ViewConfig,
        mpp: float,
        length: int,
        seed: int,
        start: int = 0,
    ) -> None:
        self._sources = list(sources)
        self._views = views
        self._mpp = mpp
        self._length = length
        self._seed = seed
        self._start = start
        weights = np.array([s.weight for s in sources], dtype=np.float64)
        self._share = weights / weights.sum()

    def __len__(self) -> int:
        return self._length - self._start

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self._seed, self._start + index])
        source = self._sources[rng.choice(len(self._sources), p=self._share)].draw(rng)
        low, high = self._views.zoom
        zoom = np.exp(rng.uniform(np.log(low), np.log(high)))
        scale = self._mpp / source.mpp / zoom
        size = self._views.crop_px
        geometry = random_geometry(
            rng, source.image.shape[:2], size, scale, self._views.rotate, source.focus
        )
        image, visible = render(source.image, geometry)
        image = alter_storage(image, self._views, rng)
        xy = geometry.to_view(source.xy)
        inside = ((xy >= 0) & (xy < size)).all(axis=1)
        weights = source.nucleus_weights
        return Sample(
            image,
            torch.from_numpy(xy[inside].astype(np.float32)),
            torch.from_numpy(source.classes[inside]),
            source.label_set,
            visible if source.known is None else visible & look_up(source.known, geometry),
            torch.ones(int(inside.sum())) if weights is None else torch.from_numpy(weights[inside]),
            torch.zeros_like(visible)
            if source.free is None
            else visible & look_up(source.free, geometry),
        )


def collate(samples: Sequence[Sample]) -> CropBatch:
    """Put samples into a batch."""
    return CropBatch(
        torch.stack([s.image for s in samples]),
        [s.xy for s in samples],
        [s.classes for s in samples],
        [s.label_set for s in samples],
        torch.stack([s.known for s in samples]),
        [s.weights for s in samples],
        torch.stack([s.free for s in samples]),
    )
