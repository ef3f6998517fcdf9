"""PanNuke (Gamper et al., 2020): tiles of 19 organs at 40x with label masks in five classes.

Layout, below each fold's folder: ``images/foldN/images.npy`` (n, 256, 256, 3) and
``masks/foldN/masks.npy`` (n, 256, 256, 6), one channel of instances for each class, background
last.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from muse_core.data.datasets.masks import mask_centres
from muse_core.data.datasets.source import Dataset, annotated
from muse_core.data.points_folder import AnnotatedImage
from muse_core.errors import UserError
from muse_core.files import FileRows, tree

_MPP = 0.25
_CLASSES = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")


def read_pannuke(folder: Path, split: str, fine: bool) -> Iterator[AnnotatedImage]:
    """Tiles of a fold in their order; there are no finer classes."""
    images = _load(folder, split, "images")
    masks = _load(folder, split, "masks")
    channels = len(_CLASSES) + 1
    fits = len(images.shape) == len(masks.shape) == 4 and images.shape[:3] == masks.shape[:3]
    if not fits or images.shape[3] != 3 or masks.shape[3] != channels:
        raise UserError(
            f"The arrays of {split} do not fit together:"
            f" images {images.shape}, masks {masks.shape}."
        )
    for number in range(len(images)):
        here = slice(number, number + 1)
        pixels = np.clip(np.rint(images[here][0]), 0, 255).astype(np.uint8)
        mask = masks[here][0].astype(np.int64)
        points, names = [], []
        for channel, name in enumerate(_CLASSES):
            _, xy = mask_centres(mask[..., channel])
            points.append(xy)
            names += [name] * len(xy)
        yield annotated(f"{split}_{number:05d}", pixels, np.concatenate(points), names, _MPP)


def _load(folder: Path, split: str, what: str) -> npt.NDArray[np.generic] | FileRows:
    wanted = Path(what) / split / f"{what}.npy"
    found = [path for path in tree(folder) if path.match(str(wanted))]
    if not found:
        raise UserError(f"This is not PanNuke as it is published: {folder / wanted} is missing.")
    try:
        # Not into memory, for a fold takes gigabytes; without pickle, for that could run code.
        array: npt.NDArray[np.generic] = np.load(found[0], mmap_mode="r", allow_pickle=False)
    except Exception as error:
        # NumPy evaluates the header as Python text, so that damage may raise any error.
        raise UserError(f"{found[0]} is not a readable array.") from error
    if not np.issubdtype(array.dtype, np.number):
        raise UserError(f"{found[0]} is not an array of numbers.")
    if not isinstance(array, np.memmap) or not array.flags.c_contiguous:
        return array
    return FileRows(found[0], array.dtype, array.shape, str(found[0]), array.offset)


PANNUKE = Dataset("pannuke", ("fold1", "fold2", "fold3"), _MPP, read_pannuke, "Gamper et al., 2020")
