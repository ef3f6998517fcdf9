"""CoNSeP (Graham et al., 2019): colon tiles at 40x with label masks in seven classes.

Layout: ``Train/Images/NAME.png`` and ``Train/Labels/NAME.mat`` with "inst_map" and "type_map";
the same under ``Test``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from muse_core.data.datasets.masks import majority, mask_centres
from muse_core.data.datasets.source import (
    Dataset,
    annotated,
    names_of_classes,
    need,
    read_image,
)
from muse_core.data.points_folder import AnnotatedImage
from muse_core.errors import UserError
from muse_core.files import entries
from muse_core.isolation import Limits, run_isolated

_MPP = 0.25
_FINE = {
    1: "other",
    2: "inflammatory",
    3: "healthy epithelial",
    4: "malignant epithelial",
    5: "fibroblast",
    6: "muscle",
    7: "endothelial",
}
_MOST_INSTANCES, _MOST_KINDS = 1_000_000, 255
# As in MCSpatNet (ICCV 2021).
_COARSE = {
    1: "stromal",
    2: "inflammatory",
    3: "epithelial",
    4: "epithelial",
    5: "stromal",
    6: "stromal",
    7: "stromal",
}


def read_consep(folder: Path, split: str, fine: bool) -> Iterator[AnnotatedImage]:
    """Tiles of a split by name."""
    part = need(folder / split.capitalize(), "CoNSeP")
    paths = entries(need(part / "Images", "CoNSeP"), "*.png")
    if not paths:
        raise UserError(f"There is no image in {part / 'Images'}.")
    for path in paths:
        labels = need(part / "Labels" / f"{path.stem}.mat", "CoNSeP")
        instances, kinds = _masks(labels)
        pixels = read_image(path, _MPP)
        if instances.shape != pixels.shape[:2]:
            raise UserError(f"The masks in {labels} are not of the size of {path.name}.")
        numbers, xy = mask_centres(instances)
        names = names_of_classes(
            majority(instances, numbers, kinds), _FINE if fine else _COARSE, labels
        )
        yield annotated(path.stem, pixels, xy, names, _MPP)


def _masks(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    task = {"path": str(path.absolute()), "names": ["inst_map", "type_map"]}
    limits = Limits.for_size(path.stat().st_size)
    data = run_isolated("muse_core.data.datasets.mat_worker", task, limits, path.name)
    instances, kinds = np.load(io.BytesIO(data), allow_pickle=False)
    for masks, most in ((instances, _MOST_INSTANCES), (kinds, _MOST_KINDS)):
        if not ((masks >= 0) & (masks <= most)).all():
            raise UserError(f"The masks in {path} hold a number that is no label.")
    return instances.astype(np.int64), kinds.astype(np.int64)


CONSEP = Dataset("consep", ("train", "test"), _MPP, read_consep, "Graham et al., 2019")
