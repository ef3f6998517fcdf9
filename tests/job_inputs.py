"""A small slide, model and points-folder, made on the fly, for jobs and commands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from muse_core.models.card import ModelCard
from muse_core.models.checkpoint import save_model
from muse_core.models.config import BackboneConfig, HeadConfig, ModelConfig
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme

CLASSES = ("lymphocyte", "tumor")
PINK = (230, 190, 210)
NARROW = BackboneConfig("resnet10t", (8, 8, 8, 8), 8, encoder_channels=(8, 16, 32, 64))
"""With timm's own channels, up to 512, steps and files would mostly handle weights."""


def write_slide(
    path: Path,
    width: int = 700,
    height: int = 500,
    seed: int = 0,
    ground: tuple[int, int, int] = PINK,
) -> Path:
    """Dark discs on a tissue-coloured background."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    for x, y in rng.uniform(0, (width, height), (width * height // 900, 2)):
        radius = rng.uniform(4, 9)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(70, 40, 120))
    image.save(path)
    return path


def write_model(path: Path, classes: Sequence[str] = CLASSES) -> Path:
    """A network of random weights that detects something wherever the image is not blank."""
    torch.manual_seed(0)
    config = ModelConfig(NARROW, HeadConfig(hidden_channels=8))
    card = ModelCard(
        "tiny", config.to_json(), 0.5, 256, ClassScheme.from_names(classes).to_json(), 0.012
    )
    model = MuseModel(card)
    # With these, scores of untrained features vary around the threshold, most of them below.
    torch.nn.init.normal_(model.point_head.out.weight, std=6.0)
    assert model.point_head.out.bias is not None
    torch.nn.init.constant_(model.point_head.out.bias[:1], -4.88)
    save_model(model, path, half=False)
    return path


def write_points_folder(root: Path, classes: tuple[str, ...] = CLASSES, n_images: int = 2) -> Path:
    """Images of 160 px with discs whose centres are in the CSV files."""
    (root / "images").mkdir(parents=True)
    (root / "points").mkdir()
    rng = np.random.default_rng(0)
    for i in range(n_images):
        image = Image.new("RGB", (160, 160), PINK)
        draw, rows = ImageDraw.Draw(image), ["x,y,class"]
        for cell in range(16):
            x, y = (np.array([cell % 4, cell // 4]) + 0.5) * 40 + rng.uniform(-8, 8, 2)
            draw.ellipse([x - 6, y - 6, x + 6, y + 6], fill=(70, 40, 120))
            rows.append(f"{x:.2f},{y:.2f},{classes[cell % len(classes)]}")
        image.save(root / "images" / f"{i}.png")
        (root / "points" / f"{i}.csv").write_text("\n".join(rows) + "\n")
    return root
