"""Unreviewed tissue of the stores' own slides, read from the file whenever a sample is drawn.

The image of a training field already shows the tissue around it. This module adds the rest of the
slide: squares without any reviewed tissue and well away from the holdout, so that the model is
never scored on tissue it has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from muse_core.finetune.data.crop_dataset import SourceImage
from muse_core.finetune.data.digests import digest_of_values
from muse_core.finetune.data.fields import CONTEXT_PX, pixels_in
from muse_core.finetune.data.stores import StoreContents
from muse_core.finetune.data.unlabeled import MIN_TISSUE
from muse_core.finetune.holdout.shared_slides import holdout_area
from muse_core.nuclei.reviewed import ReviewedField
from muse_core.slides import ImageChoice, Region, Slide, TissueMask, open_slide, tissue_mask
from muse_core.slides.readable import read_readable

_TRIES = 20
"""Squares that are tried until one can be read."""


@dataclass(frozen=True, eq=False)
class SlideTissue:
    """Part of a slide that takes part in training without annotations.

    Attributes:
        path: The slide.
        choice: Which image and plane of it.
        fingerprint: Of its content.
        slide_mpp: Microns per level-0 pixel.
        mpp: Microns per pixel to read at, the model's.
        corners: (P, 2) float64, top left corners of squares, level-0 pixels; they overlap.
        size: Width and height of a square, level-0 pixels.
        mm2: Area of tissue in the squares and around the fields that train.
        weight: Relative frequency.
    """

    path: Path
    choice: ImageChoice
    fingerprint: str
    slide_mpp: float
    mpp: float
    corners: npt.NDArray[np.float64]
    size: tuple[float, float]
    mm2: float
    weight: float = 1.0

    @property
    def labelled(self) -> bool:
        """Nothing is known of it."""
        return False

    def draw(self, rng: np.random.Generator) -> SourceImage:
        """Read one of the squares, white where it cannot be read; only that is in memory.

        Of a square of which nothing can be read, another takes the place.

        Raises:
            UserError: The slide can no longer be read.
        """
        with open_slide(self.path, self.slide_mpp, self.choice, force_mpp=True) as slide:
            for _ in range(_TRIES):
                x, y = self.corners[rng.integers(len(self.corners))]
                read = read_readable(slide, Region(float(x), float(y), *self.size), self.mpp)
                if read.image is not None:
                    break
            return SourceImage.without_labels(read.require_some(), self.mpp)

    def digest(self) -> str:
        """Hash of the slide and of the places samples are drawn from, hexadecimal."""
        return digest_of_values(self.fingerprint, self.size, self.mpp, self.corners)


def tissue_of_stores(
    contents: Sequence[StoreContents], mpp: float, crop_px: int, whole_slides: bool
) -> tuple[SlideTissue, ...]:
    """Find where samples without annotations may be drawn.

    Args:
        contents: What the stores hold; several may be of the same slide.
        mpp: Microns per pixel to read at, the model's.
        crop_px: Side of a sample, pixels at ``mpp``; fields that train are read with this margin.
        whole_slides: Whether tissue outside the images of the fields is used.

    Raises:
        UserError: A slide cannot be read.
    """
    by_slide: dict[str, list[StoreContents]] = {}
    for content in contents:
        by_slide.setdefault(content.fingerprint, []).append(content)
    found = []
    for same in by_slide.values():
        fields = [field for content in same for field in content.fields]
        with open_slide(same[0].slide, same[0].mpp, same[0].choice, force_mpp=True) as slide:
            tissue = tissue_mask(slide)
            crop = crop_px * mpp / slide.require_mpp()
            corners, size = np.zeros((0, 2)), (crop, crop)
            if whole_slides:
                margin = max(crop / 2, CONTEXT_PX * mpp / slide.require_mpp())
                corners, size = _squares(slide.bounds, tissue, fields, crop, margin)
            mm2 = _mm2(slide, tissue, fields, crop, corners, size)
        found.append(
            SlideTissue(
                same[0].slide,
                same[0].choice,
                same[0].fingerprint,
                same[0].mpp,
                mpp,
                corners,
                size,
                mm2,
            )
        )
    return tuple(found)


def corners_clear_of(
    bounds: Region,
    size: tuple[float, float],
    stride: float,
    reviewed: BaseGeometry,
    holdout: BaseGeometry,
    margin: float,
) -> npt.NDArray[np.float64]:
    """Return the corners of squares that are clear of fields.

    Args:
        bounds: The slide; squares lie in it, from edge to edge.
        size: Width and height of a square, no larger than the slide.
        stride: From one to the next, at most.
        reviewed: Area that no square may touch.
        holdout: Area from which squares keep a distance of at least ``margin``.
        margin: Level-0 pixels, like all other lengths.

    Returns:
        (P, 2) float64, top left corners.
    """
    lines = [
        start + np.linspace(0, room, 1 + int(np.ceil(room / stride)))
        for start, room in ((bounds.x, bounds.w - size[0]), (bounds.y, bounds.h - size[1]))
    ]
    corners = np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2)
    x, y = corners.T
    squares = shapely.box(x, y, x + size[0], y + size[1])
    shapely.prepare(reviewed)
    # The distance to an empty geometry is NaN, which is not below the margin.
    near = shapely.intersects(reviewed, squares) | (shapely.distance(holdout, squares) < margin)
    return np.asarray(corners[~near], dtype=np.float64)


def _squares(
    bounds: Region,
    tissue: TissueMask,
    fields: Sequence[ReviewedField],
    crop: float,
    margin: float,
) -> tuple[npt.NDArray[np.float64], tuple[float, float]]:
    """Corners and size of squares of two crops a side; of one where there is no room for two."""
    reviewed = shapely.union_all([f.area for f in fields])
    holdout = holdout_area(fields)
    corners, size = np.zeros((0, 2)), (crop, crop)
    for side in (2 * crop, crop):
        size = (min(side, bounds.w), min(side, bounds.h))
        clear = corners_clear_of(bounds, size, crop / 2, reviewed, holdout, margin)
        shares = [tissue.fraction(Region(float(x), float(y), *size)) for x, y in clear]
        corners = clear[np.array(shares) >= MIN_TISSUE]
        if len(corners):
            break
    return corners, size


def _mm2(
    slide: Slide,
    tissue: TissueMask,
    fields: Sequence[ReviewedField],
    crop: float,
    corners: npt.NDArray[np.float64],
    size: tuple[float, float],
) -> float:
    """Tissue in squares, and around fields that train, that is not reviewed."""
    scale = tissue.px_per_level0
    taken = np.zeros_like(tissue.mask)
    for x, y in corners:
        rows = slice(round(y * scale), round((y + size[1]) * scale))
        taken[rows, round(x * scale) : round((x + size[0]) * scale)] = True
    for field in fields:
        if not field.holdout:
            x0, y0, x1, y1 = field.area.bounds
            around = shapely.box(x0 - crop, y0 - crop, x1 + crop, y1 + crop)
            taken |= pixels_in(around, slide.bounds, 1 / scale, taken.shape)
    for field in fields:
        taken &= ~pixels_in(field.area, slide.bounds, 1 / scale, taken.shape)
    area_px = np.count_nonzero(taken & tissue.mask) / scale**2
    return float(area_px) * slide.require_mpp() ** 2 / 1e6
