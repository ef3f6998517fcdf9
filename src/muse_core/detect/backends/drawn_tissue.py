"""Synthetic tissue images, with which int8 networks are calibrated and conversions checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from muse_core.array_types import RgbArray

_HAEMATOXYLIN, _EOSIN = np.array((0.75, 0.75, 0.35)), np.array((0.08, 0.45, 0.2))
"""Optical density of red, green and blue."""
_STRENGTHS = (0.6, 3.0)
"""Faint to heavy. With strengths up to 1.4 alone int8 finds more nuclei that bfloat16 does not."""
_GLASS = 243
_FADING_PX = 6
_MANY, _SIDE_PX = 64, 320

Plane = npt.NDArray[np.float32]


def drawn_tissue(height: int, width: int, seed: int = 0) -> RgbArray:
    """Return dark, oval, grainy nuclei on mottled pink ground with holes; (height, width, 3) uint8.

    Their density and the strength of the stain depend on the seed.
    """
    rng = np.random.default_rng(seed)
    shape = (height, width)
    holes = 1 / (1 + np.exp(-4 * (_texture(rng, shape, 25.0) - 1.2)))
    eosin = np.clip(0.45 + 0.3 * _texture(rng, shape, 6.0) + 0.15 * _texture(rng, shape, 1.2), 0, 1)
    grain = 1 - 0.25 * np.clip(_texture(rng, shape, 1.5), -1, 1)
    nuclei = _nuclei(rng, shape) * grain * (1 - 0.9 * holes)
    density = (eosin * (1 - holes))[:, :, None] * _EOSIN * rng.uniform(*_STRENGTHS)
    density = density + nuclei[:, :, None] * _HAEMATOXYLIN * rng.uniform(*_STRENGTHS)
    drawn = _GLASS * np.exp(-density) + rng.normal(0, 3, (*shape, 3))
    return np.asarray(drawn.clip(0, 255).round(), np.uint8)


def many_drawn_tissues() -> list[RgbArray]:
    """Several (H, W, 3) uint8 images of synthetic tissue that differ in density and stain."""
    return [drawn_tissue(_SIDE_PX, _SIDE_PX, seed) for seed in range(_MANY)]


def _texture(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> Plane:
    """Smoothed noise of mean 0 and variance 1."""
    smooth = gaussian_filter(rng.normal(size=shape).astype(np.float32), sigma_px)
    return np.asarray((smooth - smooth.mean()) / max(float(smooth.std()), 1e-6))


def _nuclei(rng: np.random.Generator, shape: tuple[int, int]) -> Plane:
    """How much of a nucleus each pixel is, 0 to 1."""
    height, width = shape
    dark = np.zeros(shape, np.float32)
    for _ in range(int(height * width / rng.uniform(400, 2500))):
        y, x = rng.uniform((0, 0), shape)
        reach = rng.uniform(4, 11) + _FADING_PX
        rows = slice(max(0, int(y - reach)), min(height, int(y + reach) + 1))
        columns = slice(max(0, int(x - reach)), min(width, int(x + reach) + 1))
        part = np.mgrid[rows, columns].astype(np.float32)
        nucleus = _nucleus(rng, part[0] - y, part[1] - x, reach - _FADING_PX)
        dark[rows, columns] = np.maximum(dark[rows, columns], nucleus)
    return dark


def _nucleus(rng: np.random.Generator, dy: Any, dx: Any, radius_px: float) -> Any:
    """An oval of some direction, whose edge is more or less sharp."""
    short_px = radius_px * rng.uniform(0.4, 1)
    angle = rng.uniform(0, np.pi)
    along = (dx * np.cos(angle) + dy * np.sin(angle)) / radius_px
    across = (dy * np.cos(angle) - dx * np.sin(angle)) / short_px
    outside_px = (np.hypot(along, across) - 1) * short_px
    return rng.uniform(0.5, 1) / (1 + np.exp((outside_px * rng.uniform(0.7, 2)).clip(-30, 30)))
