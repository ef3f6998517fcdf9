"""BRCA-M2C (Abousamra et al., ICCV 2021): breast tiles at 20x with centres in three classes.

Layout: ``images/NAME.png``, ``labels/NAME_gt_class_coords.txt`` with lines "y x class", and lists
``brca_ds_train.txt``, ``brca_ds_val.txt``, ``brca_ds_test.txt`` of image names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from muse_core.data.datasets.source import (
    Dataset,
    annotated,
    names_of_classes,
    need,
    read_image,
    read_point_rows,
)
from muse_core.data.points_folder import AnnotatedImage
from muse_core.errors import UserError

_MPP = 0.5
_CLASSES = {1: "lymphocyte", 2: "tumor", 3: "stromal"}


def read_brcam2c(folder: Path, split: str, fine: bool) -> Iterator[AnnotatedImage]:
    """Images of a split in the order of its list; there are no finer classes."""
    listing = need(folder / f"brca_ds_{split}.txt", "BRCA-M2C")
    for name in _names(listing):
        labels = need(folder / "labels" / f"{name}_gt_class_coords.txt", "BRCA-M2C")
        yx, kinds = read_point_rows(labels, None)
        pixels = read_image(need(folder / "images" / f"{name}.png", "BRCA-M2C"), _MPP)
        # Coordinates are indices of pixels; a pixel's centre lies half a pixel further.
        xy = yx[:, ::-1] + 0.5
        yield annotated(name, pixels, xy, names_of_classes(kinds, _CLASSES, labels), _MPP)


def _names(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a readable list of images.") from error
    # Names hold a dot of their own, which a suffix must not be taken for.
    return [line.removesuffix(".png") for line in lines]


BRCAM2C = Dataset(
    "brcam2c", ("train", "val", "test"), _MPP, read_brcam2c, "Abousamra et al., ICCV 2021"
)
