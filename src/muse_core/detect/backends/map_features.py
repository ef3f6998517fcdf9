"""Features of nuclei, read from the maps that a converted network gives.

What MuseBackbone.sample reads from ``f_map``, without torch, and without ``f_map``: resizing a map,
reading it at a point and projecting what was read are linear, so that they can be done for the
points alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from muse_core.models.config import BackboneConfig
from muse_core.models.numpy_weights import read_weights

Float32 = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32] | npt.NDArray[np.uint16]
"""float32, or the bits of bfloat16 as uint16."""
_AT_ONCE = 64
"""Nuclei that are read at a time. So few fit into the processor's cache, and their arrays are small
enough for the allocator to reuse."""
_CONV_AND_NORM = ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var")
_NORM_EPSILON = 1e-5
"""Of torch's batch norms."""


@dataclass(frozen=True)
class MapFeatures:
    """Reads features from maps.

    Attributes:
        projections: (H, C_i) weight and (H,) bias of the hyper-features of each map, shallow to
            deep.
        align_corners: How maps are resized, see BackboneConfig.
        sampling_align_corners: How features are read, see BackboneConfig.
    """

    projections: tuple[tuple[Float32, Float32], ...]
    align_corners: bool
    sampling_align_corners: bool

    @classmethod
    def from_file(cls, path: Path, config: BackboneConfig) -> MapFeatures:
        """Read the projections from a model file; raises UserError when it is damaged."""
        projections = []
        for level in range(config.n_maps):
            names = [f"backbone.decoder.hyper.{level}.{name}" for name in _CONV_AND_NORM]
            weight, gain, offset, mean, variance = read_weights(path, names)
            scale = gain / np.sqrt(variance + np.float32(_NORM_EPSILON))
            projections.append((weight[:, :, 0, 0] * scale[:, None], offset - mean * scale))
        return cls(tuple(projections), config.align_corners, config.sampling_align_corners)

    def at_points(self, maps: Sequence[Values], xy: Float32, size_px: tuple[int, int]) -> Float32:
        """Features at points, those of the border outside.

        Args:
            maps: (C_i, h_i, w_i) each, shallow to deep, then that of the surroundings, if any.
            xy: (n, 2) image pixels.
            size_px: H and W of the image.

        Returns:
            (n, C), as MuseBackbone.sample returns them.
        """
        levels = len(self.projections)
        _, rows, columns = maps[0].shape
        finest = (
            _finest(xy[:, 1], rows, size_px[0], self.sampling_align_corners),
            _finest(xy[:, 0], columns, size_px[1], self.sampling_align_corners),
        )
        found = []
        for level, values in enumerate(maps):
            align = self.align_corners and level < levels
            y, x = (
                taps.of_coarser(length, align)
                for taps, length in zip(finest, values.shape[1:], strict=True)
            )
            sampled = _sampled(values, y, x)
            if level < levels:
                weight, bias = self.projections[level]
                sampled = sampled @ weight.T + bias
            found.append(sampled)
        return np.concatenate(found, axis=1)


@dataclass(frozen=True)
class _Taps:
    """Which cells along one axis of a map a point reads, and how much of each.

    Attributes:
        length: Cells along the axis.
        first: (n,) the first of the cells; those beyond the last count as the last.
        weights: (n, k) of the k cells from the first on.
    """

    length: int
    first: Indices
    weights: Float32

    def cells(self, number: int) -> Indices:
        """(n,) the cells that ``weights[:, number]`` is of."""
        return np.minimum(self.first + number, self.length - 1)

    def of_coarser(self, length: int, align_corners: bool) -> _Taps:
        """The cells of a coarser map of which this one is a resized copy.

        Args:
            length: Cells along the coarser map's axis; as many as here: the map itself.
            align_corners: How it was resized.
        """
        if length == self.length:
            return self
        lows, shares = zip(
            *(_between(self.cells(k), self.length, length, align_corners) for k in (0, 1)),
            strict=True,
        )
        # The second may begin a cell after the first.
        later = lows[1] - lows[0]
        rows = np.arange(len(later))
        weights = np.zeros((len(later), 3), np.float32)
        for number, share in enumerate(shares):
            own, begin = self.weights[:, number], later * number
            weights[rows, begin] += own * (1 - share)
            weights[rows, begin + 1] += own * share
        return _Taps(length, lows[0], weights)


def _finest(values: Float32, length: int, side_px: int, align_corners: bool) -> _Taps:
    """The two cells of the finest map around each point; see muse_core.models.sampling."""
    at = values * np.float32(length / side_px) - np.float32(0.5)
    if align_corners:
        at = values * np.float32((length - 1) / side_px)
    at = at.clip(0, length - 1)
    low = np.floor(at).astype(np.int64)
    share = (at - low).astype(np.float32)
    return _Taps(length, low, np.stack([1 - share, share], axis=1))


def _between(
    cells: Indices, finer: int, length: int, align_corners: bool
) -> tuple[Indices, Float32]:
    """The cell of a coarser map before each cell of a finer one, and the share of the one after."""
    if align_corners:
        at = cells * ((length - 1) / max(finer - 1, 1))
    else:
        at = np.maximum((cells + 0.5) * (length / finer) - 0.5, 0)
    low = np.minimum(np.floor(at).astype(np.int64), length - 1)
    return low, (at - low).astype(np.float32)


def _sampled(values: Values, y: _Taps, x: _Taps) -> Float32:
    """(C, h, w) read at n points: (n, C) float32."""
    pairs = list(product(range(y.weights.shape[1]), range(x.weights.shape[1])))
    cells = np.stack([y.cells(j) * values.shape[2] + x.cells(i) for j, i in pairs])
    weights = np.stack([y.weights[:, j] * x.weights[:, i] for j, i in pairs])
    flat = values.reshape(len(values), -1)
    # To read a cell of a large map takes longer than to convert one.
    few = cells.size < flat.shape[1]
    return _taken(flat, cells, weights) if few else _multiplied(flat, cells, weights)


def _taken(flat: Values, cells: Indices, weights: Float32) -> Float32:
    """Weighted sums of cells of a map (C, h w), k for each point: (k, n) to (n, C)."""
    found = np.empty((cells.shape[1], len(flat)), np.float32)
    for start in range(0, len(found), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        # All cells in one pass through the channels.
        read = as_floats(flat.take(cells[:, part], axis=1))
        found[part] = np.einsum("ckn,kn->nc", read, weights[:, part])
    return found


def _multiplied(flat: Values, cells: Indices, weights: Float32) -> Float32:
    """The same as a product with a sparse matrix, of all of the map."""
    k, n = cells.shape
    ends = np.arange(0, k * n + 1, k)
    shape = (n, flat.shape[1])
    of_points = csr_array((weights.T.ravel(), cells.T.ravel(), ends), shape=shape)
    found: Float32 = of_points @ as_floats(flat).T
    return found


def as_floats(values: Values) -> Float32:
    """Return values as 32 bits; those of 16 unsigned ones are bfloat16."""
    if values.dtype == np.uint16:
        # bfloat16 is the upper half of a float32.
        raised = values.astype(np.uint32)
        raised <<= 16
        return raised.view(np.float32)
    return np.asarray(values, dtype=np.float32)
