"""Fields: images of reviewed regions at the model's resolution, with their nuclei.

The image of a field is larger than the reviewed region: the tissue around it is unlabelled context.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from muse_core.data.points_folder import AnnotatedImage
from muse_core.detect.resize import to_model_scale
from muse_core.errors import UserError
from muse_core.evaluate.matching import MATCH_RADIUS_UM
from muse_core.finetune.data.known import pixel_range, pixels_near
from muse_core.nuclei.holdout import holdout_in_set
from muse_core.nuclei.reviewed import ReviewedField
from muse_core.nuclei.table import CORRECTIONS, Status
from muse_core.slides import Region, Slide
from muse_core.slides.readable import read_readable

CONTEXT_PX = 64
"""Context that is read around a holdout field."""
MAX_CELL_PX = 1024
"""Larger fields are cut into cells of at most this side, in the model's pixels."""


@dataclass(frozen=True, eq=False)
class Field:
    """A reviewed field, or one cell of a large one.

    Attributes:
        key: Of the whole field.
        image: (H, W, 3) uint8, the reviewed region and the tissue around it.
        mpp: Microns per pixel of ``image``.
        known: (H, W) bool, where every nucleus is annotated; elsewhere nothing counts as
            background.
        xy: (N, 2) float32, pixels of ``image``, the nuclei in ``known``.
        class_names: N names.
        weights: (N,) float32, how much each nucleus counts.
        ignored_xy: (M, 2) float32, nuclei on the border of the field, which do not count.
        rejected_xy: (R, 2) float32, detections that a person has removed.
        holdout_mask: (H, W) bool, the part of the image that lies in any holdout field.
        holdout: Whether this field itself is kept out of training.
    """

    key: str
    image: npt.NDArray[np.uint8]
    mpp: float
    known: npt.NDArray[np.bool_]
    xy: npt.NDArray[np.float32]
    class_names: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    ignored_xy: npt.NDArray[np.float32]
    rejected_xy: npt.NDArray[np.float32]
    holdout_mask: npt.NDArray[np.bool_]
    holdout: bool


def read_fields(
    slide: Slide,
    reviewed: Sequence[ReviewedField],
    mpp: float,
    margin_px: int,
    correction_weight: float,
    holdout_area: BaseGeometry,
) -> list[Field]:
    """Read the fields of a slide.

    Args:
        slide: Open slide with known microns per pixel.
        reviewed: Its fields.
        mpp: Microns per pixel to read at, the model's.
        margin_px: Margin to read around a reviewed region, pixels at ``mpp``; around holdout
            fields no more than ``CONTEXT_PX``.
        correction_weight: Weight of a nucleus that a person has changed, relative to one that was
            only looked at.
        holdout_area: All holdout fields of the slide, level-0 pixels.

    Returns:
        The fields; fields that lie outside the slide are left out.
    """
    reader = _CellReader(slide, mpp, correction_weight, holdout_area)
    largest = MAX_CELL_PX * mpp / slide.require_mpp()
    return [
        reader.read(field, cell, min(margin_px, CONTEXT_PX) if field.holdout else margin_px)
        for field in reviewed
        for cell in _cells(field.area, slide, largest)
    ]


def fields_of_images(
    images: Sequence[AnnotatedImage], mpp: float, with_holdout: bool
) -> list[Field]:
    """Fields from images of which all is reviewed.

    Args:
        images: Annotated images.
        mpp: Microns per pixel to bring them to, the model's.
        with_holdout: Whether to keep some for the holdout, chosen by a hash of their content.
    """
    keys = [hashlib.sha256(image.image.tobytes()).hexdigest() for image in images]
    held = holdout_in_set(keys) if with_holdout else (False,) * len(keys)
    return [
        _whole_image(image, mpp, key, is_held)
        for image, key, is_held in zip(images, keys, held, strict=True)
    ]


def _whole_image(image: AnnotatedImage, mpp: float, key: str, holdout: bool) -> Field:
    scaled, scale_x, scale_y = to_model_scale(image.image, image.mpp, mpp)
    height, width = image.image.shape[:2]
    # Without the padding: what is beside the image is not known.
    scaled = scaled[: round(height / scale_y), : round(width / scale_x)]
    nowhere = np.zeros((0, 2), dtype=np.float32)
    return Field(
        key=key,
        image=scaled,
        mpp=mpp,
        known=np.ones(scaled.shape[:2], dtype=bool),
        xy=(image.xy / [scale_x, scale_y]).astype(np.float32),
        class_names=image.class_names,
        weights=np.ones(len(image.xy), dtype=np.float32),
        ignored_xy=nowhere,
        rejected_xy=nowhere,
        holdout_mask=np.zeros(scaled.shape[:2], dtype=bool),
        holdout=holdout,
    )


def _cells(area: BaseGeometry, slide: Slide, largest: float) -> list[Region]:
    """Rectangles that cover an area's part of a slide, none larger than ``largest`` a side."""
    x0, y0, x1, y1 = area.bounds
    box = Region(x0, y0, x1 - x0, y1 - y0).intersect(slide.bounds)
    if box is None:
        return []
    columns, rows = (max(1, int(np.ceil(side / largest))) for side in (box.w, box.h))
    w, h = box.w / columns, box.h / rows
    cells = [
        Region(box.x + i * w, box.y + j * h, w, h) for j in range(rows) for i in range(columns)
    ]
    return [c for c in cells if area.intersection(shapely.box(c.x, c.y, c.x1, c.y1)).area > 0]


@dataclass(frozen=True)
class _CellReader:
    """Reads cells of the fields of a slide; see :func:`read_fields`."""

    slide: Slide
    mpp: float
    correction_weight: float
    holdout_area: BaseGeometry

    def read(self, field: ReviewedField, cell: Region, margin_px: int) -> Field:
        """Read a cell of a field and, around it, as many pixels as the margin says."""
        scale = self.mpp / self.slide.require_mpp()
        window = _window(cell, self.slide.bounds, margin_px * scale)
        read = read_readable(self.slide, window, self.mpp)
        image = read.require_some()
        for place in read.unreadable:
            # Around the cell something may be lacking, in what was reviewed nothing.
            if place.region.touches(cell):
                raise UserError(place.reason)
        # A nucleus may lie this much off its annotation; nearer to the border it cannot be told
        # whether it belongs to the field.
        radius = MATCH_RADIUS_UM / self.slide.require_mpp()
        box = shapely.box(cell.x, cell.y, cell.x1, cell.y1)
        core = field.area.buffer(-radius).intersection(box)
        table = field.nuclei
        x, y = table["x"].to_numpy(), table["y"].to_numpy()
        gone = (table["status"] == Status.DELETED.word).to_numpy()
        inside = shapely.contains_xy(core, x, y)
        counts = inside & ~gone
        xy = (np.stack([x, y], axis=1) - [window.x, window.y]) / scale
        ignored = xy[~inside & ~gone & window.contains(x, y)]
        known = pixels_in(core, window, scale, image.shape[:2])
        known &= ~pixels_near(ignored, MATCH_RADIUS_UM / self.mpp, image.shape[:2])
        corrected = table["status"].isin(CORRECTIONS).to_numpy()[counts]
        return Field(
            key=field.key,
            image=image,
            mpp=self.mpp,
            known=known,
            xy=xy[counts].astype(np.float32),
            class_names=tuple(table["class_name"].to_numpy()[counts]),
            weights=np.where(corrected, self.correction_weight, 1.0).astype(np.float32),
            ignored_xy=ignored.astype(np.float32),
            rejected_xy=xy[inside & gone].astype(np.float32),
            holdout_mask=pixels_in(self.holdout_area, window, scale, image.shape[:2]),
            holdout=field.holdout,
        )


def _window(cell: Region, bounds: Region, margin: float) -> Region:
    grown = Region(cell.x - margin, cell.y - margin, cell.w + 2 * margin, cell.h + 2 * margin)
    window = grown.intersect(bounds)
    assert window is not None, "cells lie on the slide"
    return window


def pixels_in(
    area: BaseGeometry, window: Region, scale: float, shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return which pixels of a window have their centres in an area.

    Args:
        area: Level-0 pixels.
        window: What the pixels show.
        scale: Level-0 pixels per pixel.
        shape: Rows and columns.
    """
    known = np.zeros(shape, dtype=bool)
    if area.is_empty:
        return known
    x0, y0, x1, y1 = area.bounds
    columns = pixel_range((x0 - window.x) / scale, (x1 - window.x) / scale, shape[1])
    rows = pixel_range((y0 - window.y) / scale, (y1 - window.y) / scale, shape[0])
    grid_x, grid_y = np.meshgrid(columns + 0.5, rows + 0.5)
    shapely.prepare(area)
    inside = shapely.contains_xy(area, window.x + grid_x * scale, window.y + grid_y * scale)
    known[rows[:, None], columns[None, :]] = inside
    return known
