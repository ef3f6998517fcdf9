"""Surroundings: features of the neighbourhood of each place of a feature map, for classification.

A lymphocyte and a small round tumour cell differ less in themselves than in their neighbours
(compare PathContext, AAAI 2026, whose nuclei attend to those around them). Here each place gets a
mean of the map around it, which one pass computes for all nuclei, also those that a user adds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from muse_core.models.config import SURROUNDINGS_GRID_PX
from muse_core.models.encoders import resize


class Surroundings(nn.Module):
    """Appends channels to a feature map that describe the surroundings of each place."""

    def __init__(self, channels: int, added: int, reach_px: int, map_stride_px: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, added, 1)
        self._reach_px = reach_px
        self._map_stride_px = map_stride_px

    def forward(self, f_map: Tensor) -> Tensor:
        """(B, channels, h, w) to (B, channels + added, h, w); the added channels come last."""
        # A mean of projections is the projection of a mean, and has fewer channels.
        around = self.around(self.project(self.coarse(f_map)))
        # The map is so smooth that align_corners makes no difference.
        return torch.cat([f_map, resize(around, list(f_map.shape[-2:]), False)], dim=1)

    def coarse(self, x: Tensor) -> Tensor:
        """Means of (B, C, h, w), a map or its projection, over cells of the grid of 16 px."""
        return _coarse(x, self._map_stride_px)

    def around(self, projected: Tensor) -> Tensor:
        """The added channels on that grid, from the projection of its means."""
        return functional.gelu(_mean_around(projected, self._reach_px))


def mean_around(f_map: Tensor, reach_px: int, map_stride_px: int) -> Tensor:
    """Mean of a map over the square around each place of a grid of 16 px.

    Args:
        f_map: (B, C, h, w).
        reach_px: From the middle of the square to its sides, in image pixels.
        map_stride_px: Of ``f_map``.

    Returns:
        (B, C, h / r, w / r), where a cell of the grid is r cells of the map wide. At a border the
        mean is taken over the part of the square inside the map.
    """
    return _mean_around(_coarse(f_map, map_stride_px), reach_px)


def _coarse(f_map: Tensor, map_stride_px: int) -> Tensor:
    return functional.avg_pool2d(f_map, SURROUNDINGS_GRID_PX // map_stride_px)


def _mean_around(coarse: Tensor, reach_px: int) -> Tensor:
    reach = reach_px // SURROUNDINGS_GRID_PX
    # The part of a square inside the map is a rectangle: rows first, then columns, is the same mean
    # of far fewer values.
    for across in (0, 1):
        size, padding = [1, 1], [0, 0]
        size[across], padding[across] = 2 * reach + 1, reach
        coarse = functional.avg_pool2d(coarse, size, 1, padding, count_include_pad=False)
    return coarse
