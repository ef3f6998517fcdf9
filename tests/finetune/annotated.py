"""A small slide with an annotation store, for tests of fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from muse_core.finetune import FinetuneConfig, StoreSource
from muse_core.finetune.config import ConsistencyConfig
from muse_core.models.muse_model import MuseModel
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, identify_slide

from ..job_inputs import write_model

CLASSES = ("large", "small")
MPP = 0.5
SEMI = ConsistencyConfig(
    weight=1.0,
    nucleus_confidence=0.0105,
    background_confidence=0.01,
    class_confidence=0.5,
    burn_in_share=0.0,
)
"""Thresholds that some outputs of an untrained network exceed, applied from the first step."""


def watched_logits(model: MuseModel) -> list[torch.Tensor]:
    """A list to which each pass of a model's point head adds its logits, with their gradient."""
    logits: list[torch.Tensor] = []
    original = model.point_head.proposals

    def watched(hidden: torch.Tensor) -> object:
        found = original(hidden)
        found.logit.retain_grad()
        logits.append(found.logit)
        return found

    model.point_head.proposals = watched  # type: ignore[assignment, method-assign]
    return logits


def square(x: float, y: float, side: float) -> list[tuple[float, float]]:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def disc_slide(
    path: Path, side_px: int = 480, seed: int = 0, mpp: float | None = None
) -> np.ndarray:
    """Dark discs, one in each cell of 30 px; (N, 3) x, y and class, 0 for the large ones.

    A TIFF can state its microns per pixel, ``mpp``.
    """
    image = Image.new("RGB", (side_px, side_px), (230, 190, 210))
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(seed)
    nuclei = []
    for cell in np.ndindex(side_px // 30, side_px // 30):
        y, x = (np.array(cell) + 0.5) * 30 + rng.uniform(-5, 5, 2)
        kind = int(rng.integers(2))
        radius = (9, 5)[kind]
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(70, 40, 120))
        nuclei.append((x, y, kind))
    scale: dict[str, Any] = (
        {} if mpp is None else {"resolution": 1e4 / mpp, "resolution_unit": "cm"}
    )
    image.save(path, **scale)
    return np.array(nuclei)


def reviewed_store(
    folder: Path,
    squares: Sequence[Sequence[float]],
    side_px: int = 480,
    seed: int = 0,
    mpp: float | None = None,
) -> Path:
    """A slide and its store, in which some squares (x, y, side) are reviewed and all is correct.

    The slide is a PNG, or a TIFF that states its ``mpp``.
    """
    slide = folder / f"slide{seed}.{'tif' if mpp else 'png'}"
    nuclei = disc_slide(slide, side_px, seed, mpp)
    path = folder / f"{slide.name}.muse"
    scheme = ClassScheme.from_names(CLASSES)
    with AnnotationStore.create(path, identify_slide(slide), scheme) as store:
        names = [CLASSES[int(kind)] for kind in nuclei[:, 2]]
        store.insert(nucleus_table(nuclei[:, 0], nuclei[:, 1], names, score=0.9, model="m"))
        for x, y, side in squares:
            store.add_region(square(x, y, side), reviewed=True)
    return path


def store_beside(slide: Path, name: str, squares: Sequence[Sequence[float]]) -> Path:
    """Another store of a slide, without nuclei."""
    path = slide.with_name(name)
    scheme = ClassScheme.from_names(CLASSES)
    with AnnotationStore.create(path, identify_slide(slide), scheme) as store:
        for x, y, side in squares:
            store.add_region(square(x, y, side), reviewed=True)
    return path


def store_run(folder: Path, store: Path, **settings: Any) -> FinetuneConfig:
    """A short run of an untrained model on a store, on the CPU."""
    return FinetuneConfig(
        train=(),
        stores=(StoreSource(store, mpp=MPP),),
        out=folder / "out.safetensors",
        base=write_model(folder / "base.safetensors"),
        learning_rate=1e-3,
        device="cpu",
        **settings,
    )
