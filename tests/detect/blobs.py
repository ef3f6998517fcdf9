"""A network with a known result: it detects dark blobs by fixed, exact arithmetic.

Its receptive field reaches 16 px, so with a halo of 32 px tiled and untiled runs must agree to the
last digit; any difference is an error of the tiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from muse_core.models.card import ModelCard
from muse_core.models.tile_detections import TileDetections
from muse_core.nuclei import ClassScheme

CLASSES = ("red", "blue")
PINK = (240, 205, 230)
"""Recognised as tissue, and too light for a blob."""


class BlobModel(nn.Module):
    """Finds local maxima of darkness in integers; positions are multiples of 1/8 px."""

    def __init__(self, mpp: float = 0.5, threshold: float = 0.2) -> None:
        super().__init__()
        scheme = ClassScheme.from_names(CLASSES).to_json()
        self.card = ModelCard("blobs", {}, mpp, 64, scheme, threshold)
        self.largest_batch = 0

    @torch.inference_mode()
    def predict(
        self, image: Tensor, min_score: float | None = None, features: bool = False
    ) -> list[TileDetections]:
        self.largest_batch = max(self.largest_batch, len(image))
        threshold = self.card.score_threshold if min_score is None else min_score
        with torch.autocast(image.device.type, enabled=False):
            rgb = (image.double() * 255).round()
            dark = 765 - rgb.sum(dim=1, keepdim=True)
            kernel = torch.ones(1, 1, 5, 5, dtype=torch.float64)
            mass = functional.conv2d(dark, kernel, padding=2)
            # Ties are broken by position in the grid of 32 px that all tiles share.
            rows, columns = (torch.arange(n).double() % 32 for n in mass.shape[-2:])
            ranked = mass + (rows[:, None] * 32 + columns) / 1024
            peak = (ranked == functional.max_pool2d(ranked, 7, stride=1, padding=3)) & (mass > 0)
        found = []
        for b in range(len(image)):
            y, x = torch.nonzero(peak[b, 0], as_tuple=True)
            score = mass[b, 0, y, x] / (765 * 25)
            kept = score >= threshold
            y, x, score = y[kept], x[kept], score[kept]
            shift_x = self._lean(dark[b, 0], y, x, dim=1)
            shift_y = self._lean(dark[b, 0], y, x, dim=0)
            xy = torch.stack([x + 0.5 + shift_x, y + 0.5 + shift_y], dim=1)
            red = (rgb[b, 0, y, x] > rgb[b, 2, y, x]).double()
            found.append(
                TileDetections(
                    xy.numpy().astype(np.float32),
                    score.numpy().astype(np.float32),
                    torch.stack([red, 1 - red], dim=1).numpy().astype(np.float32),
                )
            )
        return found

    @staticmethod
    def _lean(dark: Tensor, y: Tensor, x: Tensor, dim: int) -> Tensor:
        """Direction in which the darkness around a peak is off-centre, in steps of 1/8 px."""
        padded = functional.pad(dark, (1, 1, 1, 1))
        before = padded[y + 1, x] if dim == 1 else padded[y, x + 1]
        after = padded[y + 1, x + 2] if dim == 1 else padded[y + 2, x + 1]
        return ((after - before) / (after + before + 1) * 4).round() / 8


@dataclass(frozen=True)
class Scene:
    """Tissue-coloured background with dots."""

    rgb: np.ndarray
    centres: np.ndarray
    is_red: np.ndarray


def scene(width: int, height: int, spacing: int = 12, seed: int = 0) -> Scene:
    """Dots of 5 px with jitter on a lattice, each of a different darkness, on a pink background.

    With a spacing of 16 or 32 and no jitter, dots lie on seams and corners.
    """
    rng = np.random.default_rng(seed)
    rgb = np.tile(np.array(PINK, np.uint8), (height, width, 1))
    xs, ys = np.meshgrid(np.arange(8, width - 8, spacing), np.arange(8, height - 8, spacing))
    centres = np.column_stack([xs.ravel(), ys.ravel()])
    centres = centres + rng.integers(-1, 2, centres.shape)
    is_red = rng.random(len(centres)) < 0.5
    for (x, y), red, dark in zip(centres, is_red, rng.integers(0, 60, len(centres)), strict=True):
        rgb[y - 2 : y + 3, x - 2 : x + 3] = (160, dark, 60) if red else (60, dark, 160)
        rgb[y, x] = rgb[y, x] // 2
    return Scene(rgb, centres + 0.5, is_red)


def save_png(rgb: np.ndarray, path: Path) -> Path:
    Image.fromarray(rgb).save(path)
    return path
