"""Views: crops at a random resolution, flipped and rotated, with their nuclei.

Source: Yang et al., AAAI 2026, "MPP-based cropping": {I_o, C_o} = crop(I_e, C_e; MPP_e, MPP_o,
R_o). No torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from muse_core.pretrain.config import ViewsConfig


@dataclass(frozen=True, eq=False)
class View:
    """Pixels with the nuclei in them.

    Attributes:
        pixels: (H, W, 3) uint8.
        xy: (N, 2) float64, nuclei in pixels of the view, origin at the corner of the first pixel.
        index: (N,) int64, which nucleus of the ROI each is.
    """

    pixels: npt.NDArray[np.uint8]
    xy: npt.NDArray[np.float64]
    index: npt.NDArray[np.int64]

    def crop(self, left: float, top: float, side: float, out_px: int) -> View:
        """Cut out a square and bring it to a size, antialiased; nuclei outside are left out.

        Args:
            left: Pixels of this view, as are ``top`` and ``side``; the square lies inside it.
            top: See ``left``.
            side: See ``left``.
            out_px: Side of the result.
        """
        pixels = Image.fromarray(self.pixels).resize(
            (out_px, out_px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
        )
        xy = (self.xy - [left, top]) * (out_px / side)
        inside = ((xy >= 0) & (xy < out_px)).all(axis=1)
        return View(np.asarray(pixels), xy[inside], self.index[inside])

    def flip(self) -> View:
        """Mirror left and right."""
        xy = np.stack([self.pixels.shape[1] - self.xy[:, 0], self.xy[:, 1]], axis=1)
        return replace(self, pixels=self.pixels[:, ::-1], xy=xy)

    def turn(self, quarters: int) -> View:
        """Turn by quarters of a circle, counter-clockwise as seen."""
        turned = self
        for _ in range(quarters % 4):
            width = turned.pixels.shape[1]
            xy = np.stack([turned.xy[:, 1], width - turned.xy[:, 0]], axis=1)
            turned = replace(turned, pixels=np.rot90(turned.pixels), xy=xy)
        return turned


def draw_views(
    field: View, field_mpp: float, config: ViewsConfig, rng: np.random.Generator
) -> list[View]:
    """Draw the views of a sample, global ones first.

    Args:
        field: What the views are cut from.
        field_mpp: Its microns per pixel.
        config: Numbers, sizes and resolutions.
        rng: Source of randomness.
    """
    sizes = [config.global_px] * config.n_global + [config.local_px] * config.n_local
    return [_draw_view(field, field_mpp, size, config.mpp, rng) for size in sizes]


def field_side_um(config: ViewsConfig) -> float:
    """Side of the field of a sample in microns."""
    return max(config.field_um, max(config.global_px, config.local_px) * config.mpp[1])


def _draw_view(
    field: View,
    field_mpp: float,
    size_px: int,
    mpp_range: tuple[float, float],
    rng: np.random.Generator,
) -> View:
    height, width = field.pixels.shape[:2]
    low, high = np.log(mpp_range)
    mpp = np.exp(rng.uniform(low, high))
    side = min(size_px * mpp / field_mpp, height, width)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    view = field.crop(left, top, side, size_px)
    if rng.integers(2):
        view = view.flip()
    return view.turn(int(rng.integers(4)))
