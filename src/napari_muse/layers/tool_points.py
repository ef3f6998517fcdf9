"""Checks of points that napari's own tools, or the console, have put into the layer of nuclei."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from muse_core.array_types import FloatArray
from muse_core.errors import UserError
from napari_muse.annotations.coordinates import from_layer

if TYPE_CHECKING:
    from napari_muse.annotations.slide_annotations import SlideAnnotations


def require_count(points: FloatArray, count: int) -> None:
    """Raise UserError if there are other points than those whose nuclei are known."""
    if len(points) != count:
        raise UserError(
            "The layer of nuclei shows those in view, and takes no other points in their place;"
            " they were put back. “Import nuclei …” takes nuclei over."
        )


def positions_on_slide(points: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Return x and y of points, (n,) each.

    Args:
        points: (n, 2) layer data.
        size: Width and height of the slide, level-0 pixels.

    Raises:
        UserError: One of them lies beside the slide, or nowhere.
    """
    x, y = from_layer(points)
    width, height = size
    if not ((x >= 0) & (y >= 0) & (x <= width) & (y <= height)).all():
        raise UserError("That is beside the slide; a nucleus has to be on it.")
    return x, y


def move_to(
    annotations: SlideAnnotations,
    ids: npt.NDArray[np.int64],
    points: FloatArray,
    size: tuple[int, int],
) -> None:
    """Move nuclei to points, see :func:`positions_on_slide`, unless there are others already."""
    x, y = positions_on_slide(points, size)
    if annotations.occupied(np.stack([x, y], axis=1), ids).any():
        raise UserError("There is a nucleus here already.")
    annotations.move(ids, x, y)
