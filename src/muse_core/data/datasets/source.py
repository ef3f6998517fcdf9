"""Helpers that the loaders of published datasets share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.data.points_folder import AnnotatedImage, require_inside
from muse_core.errors import UserError
from muse_core.slides import open_slide

Reader = Callable[[Path, str, bool], Iterator[AnnotatedImage]]
_NOT_IN_NAMES = "/\\:"


@dataclass(frozen=True)
class Dataset:
    """A published dataset in its own layout.

    Attributes:
        name: Name on the command line.
        splits: Names of its parts.
        mpp: Its nominal microns per pixel.
        read: Given folder, split and whether the fine classes are wanted, its images one by one.
        reference: Who published it.
    """

    name: str
    splits: tuple[str, ...]
    mpp: float
    read: Reader
    reference: str


def annotated(
    name: str, pixels: npt.NDArray[np.uint8], xy: npt.ArrayLike, names: Sequence[str], mpp: float
) -> AnnotatedImage:
    """An image with its nuclei.

    Raises:
        UserError: A coordinate is no number or lies clearly outside the image, or the name is no
            plain file name.
    """
    # Names come from files of the dataset, and files are written under them.
    if name in ("", ".", "..") or set(name) & set(_NOT_IN_NAMES):
        raise UserError(f"The dataset names an image {name!r}, which is not a plain file name.")
    points = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    require_inside(points, pixels, f"the annotation of {name}")
    return AnnotatedImage(name, pixels, points.astype(np.float32), tuple(names), mpp)


def read_image(path: Path, mpp: float) -> npt.NDArray[np.uint8]:
    """Pixels (H, W, 3) uint8 of an image file; raises UserError when it cannot be read."""
    with open_slide(path, mpp=mpp, force_mpp=True) as slide:
        slide.require_only_image()
        return slide.read(slide.bounds)


def need(path: Path, dataset: str) -> Path:
    """The path, or a UserError saying that the folder is not this dataset."""
    if not path.exists():
        raise UserError(f"This is not {dataset} as it is published: {path} is missing.")
    return path


def read_json(path: Path) -> Any:
    """Content of a JSON file; raises UserError when it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        # RecursionError: brackets in brackets, many thousands deep.
        raise UserError(f"{path} is not a readable JSON file.") from error


def read_point_rows(
    path: Path, delimiter: str | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """A text file of two coordinates and a class number in each line; may be empty.

    Returns:
        (n, 2) the first two columns, and (n,) the third.

    Raises:
        UserError: A line is not three numbers, or the class is no whole number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a text file.") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            first, second, kind = (float(part) for part in line.split(delimiter))
        except ValueError:
            first = second = kind = float("nan")
        if not (np.isfinite([first, second]).all() and kind.is_integer()):
            raise UserError(f"{path}, line {number}: expected two coordinates and a class.")
        rows.append((first, second, kind))
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return table[:, :2], table[:, 2].astype(np.int64)


def names_of_classes(
    numbers: npt.NDArray[np.int64], names: Mapping[int, str], where: Path
) -> list[str]:
    """Names of class numbers; raises UserError for an unknown one."""
    unknown = sorted(set(numbers.tolist()) - set(names))
    if unknown:
        raise UserError(f"{where} holds the unknown class {unknown[0]}.")
    return [names[n] for n in numbers.tolist()]
