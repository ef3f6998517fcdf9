"""Tissue without annotations: regions of slides, or folders of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from pathlib import Path

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError
from muse_core.files import entries
from muse_core.finetune.data.crop_dataset import SourceImage
from muse_core.finetune.inputs import UnlabeledSource
from muse_core.nuclei.store import identify_slide
from muse_core.slides import ImageChoice, Region, Slide, can_open, open_slide, tissue_mask
from muse_core.slides.readable import read_readable

_TRIES = 20
MIN_TISSUE = 0.5
"""The share of a square that is tissue, at least."""


def read_unlabeled(
    sources: Sequence[UnlabeledSource],
    mpp: float,
    side_px: int,
    regions: int,
    seed: int,
    without: Set[str] = frozenset(),
) -> list[SourceImage]:
    """Read tissue to draw samples from.

    Args:
        sources: Slides and folders of images.
        mpp: Microns per pixel to read slides at.
        side_px: Side of a region of a slide, pixels at ``mpp``.
        regions: How many of each slide.
        seed: Of where they lie.
        without: Fingerprints of slides to leave out, in which there are reviewed fields.

    Returns:
        Images without annotations; weights are 1.

    Raises:
        UserError: Something cannot be read, has no known scale, or holds no tissue.
    """
    found = []
    for number, source in enumerate(sources):
        rng = np.random.default_rng([seed, number])
        for path in _slides(source):
            for slide in _images(path, source):
                if without and identify_slide(path, slide.part).tissue in without:
                    continue
                slide.require_mpp("as --unlabeled PATH=MPP")
                found += [
                    SourceImage.without_labels(pixels, mpp)
                    for pixels in _regions(slide, mpp, side_px, regions, rng)
                ]
    return found


def _images(path: Path, source: UnlabeledSource) -> Iterator[Slide]:
    """All tissue images of a slide, each open until the next."""
    with open_slide(path, source.mpp, force_mpp=source.force_mpp) as slide:
        count = slide.n_images
        if count == 1:
            yield slide
    for number in range(1, count + 1) if count > 1 else ():
        choice = ImageChoice(number)
        with open_slide(path, source.mpp, choice, source.force_mpp) as slide:
            yield slide


def _slides(source: UnlabeledSource) -> list[Path]:
    if not source.path.is_dir() or can_open(source.path):
        return [source.path]
    folder = source.path / "images"
    images = folder if folder.is_dir() else source.path
    paths = [p for p in entries(images) if can_open(p)]
    if not paths:
        raise UserError(f"There is no image in {source.path}.")
    return paths


def _regions(
    slide: Slide, mpp: float, side_px: int, count: int, rng: np.random.Generator
) -> list[npt.NDArray[np.uint8]]:
    """Random squares with tissue; an image that is no larger than one is taken whole."""
    side = side_px * mpp / slide.require_mpp()
    if slide.width <= side and slide.height <= side:
        return [slide.read(slide.bounds, mpp)]
    tissue = tissue_mask(slide)
    found: list[npt.NDArray[np.uint8]] = []
    lost = ""
    for _ in range(_TRIES * count):
        x = rng.uniform(0, max(slide.width - side, 0))
        y = rng.uniform(0, max(slide.height - side, 0))
        region = Region(x, y, side, side).intersect(slide.bounds)
        if region is not None and tissue.fraction(region) >= MIN_TISSUE:
            pixels, unreadable = read_readable(slide, region, mpp)
            if pixels is not None and not unreadable:
                found.append(pixels)
            lost = next((place.reason for place in unreadable), lost)
        if len(found) == count:
            break
    if not found:
        raise UserError(lost or f"There is too little tissue in {slide.title} to learn from.")
    return found
