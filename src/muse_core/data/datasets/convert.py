"""Convert published datasets to points-folders, at one resolution."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
from PIL import Image

from muse_core.data.datasets.registry import find_dataset
from muse_core.data.datasets.source import Dataset
from muse_core.data.points_folder import AnnotatedImage
from muse_core.errors import UserError
from muse_core.files import entries, only_one, replacing
from muse_core.ordinary import require_folder
from muse_core.slides.mpp import check_mpp

_SAME_SCALE = 0.005
"""Images whose scale differs from the wanted one by less than this share stay as they are."""


class ConversionReport(TypedDict):
    """Report on a written points-folder, as ``dataset.json`` holds it; nuclei of each class."""

    dataset: str
    split: str
    mpp: float
    images: int
    nuclei: dict[str, int]
    reference: str


@dataclass(frozen=True)
class Detail:
    """Resolution and classes that a dataset is written with.

    Attributes:
        mpp: Microns per pixel of the images; None takes the dataset's own.
        fine: Whether to keep the finest classes instead of those of the papers.
    """

    mpp: float | None = None
    fine: bool = False


def convert_dataset(
    dataset: str | Dataset,
    folder: str | Path,
    out: str | Path,
    split: str,
    *,
    detail: Detail | None = None,
    on_progress: Callable[[int, str], None] | None = None,
) -> ConversionReport:
    """Write a split as a points-folder: ``images/``, ``points/`` and ``dataset.json``.

    Args:
        dataset: Name of one of :data:`muse_core.data.datasets.DATASETS`, or one of your own.
        folder: The dataset as published.
        out: Folder to write; must be new or empty.
        split: Which part.
        detail: Resolution and classes; by default the dataset's own scale and the papers' classes.
        on_progress: Called with images done and the name of the last.

    Returns:
        What ``dataset.json`` holds.

    Raises:
        UserError: Name or split are unknown, the folder is not the dataset, a file is malformed, or
            the output cannot be written.
    """
    detail = detail or Detail()
    if isinstance(dataset, str):
        dataset = find_dataset(dataset, split)
    source, target = require_folder(folder), Path(out)
    if target.exists() and (not target.is_dir() or entries(target)):
        raise UserError(f"{target} is in the way; choose a folder that is new or empty.")
    scale = dataset.mpp if detail.mpp is None else check_mpp(detail.mpp)
    counts: Counter[str] = Counter()
    done = 0
    with only_one(target), replacing(target, over_full_folder=False) as partial:
        for part in ("images", "points"):
            (partial / part).mkdir(parents=True)
        for image in dataset.read(source, split, detail.fine):
            _write(image, scale, partial)
            counts.update(image.class_names)
            done += 1
            if on_progress:
                on_progress(done, image.name)
        if not done:
            raise UserError(f"There is no image of the split {split!r} in {source}.")
        facts: ConversionReport = {
            "dataset": dataset.name,
            "split": split,
            "mpp": scale,
            "images": done,
            "nuclei": dict(sorted(counts.items())),
            "reference": dataset.reference,
        }
        (partial / "dataset.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    return facts


def _write(image: AnnotatedImage, mpp: float, folder: Path) -> None:
    pixels, xy = image.image, image.xy.astype(np.float64)
    height, width = pixels.shape[:2]
    factor = image.mpp / mpp
    picture = Image.fromarray(pixels)
    if abs(factor - 1) > _SAME_SCALE:
        size = max(1, round(width * factor)), max(1, round(height * factor))
        # Pillow widens its kernel when it shrinks, which is the antialiasing.
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        xy = xy * (np.array(size) / (width, height))
    path = folder / "images" / f"{image.name}.png"
    if path.exists():
        raise UserError(f"The dataset holds two images named {image.name!r}.")
    picture.save(path)
    table = pd.DataFrame({"x": xy[:, 0].round(3), "y": xy[:, 1].round(3)})
    table["class"] = list(image.class_names)
    table.to_csv(folder / "points" / f"{image.name}.csv", index=False)
