"""Batches of views from ROIs; the samples of each batch depend on the seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from muse_core.errors import UserError
from muse_core.pretrain.appearance import Appearance, draw_appearance, stack_appearances
from muse_core.pretrain.config import PretrainConfig
from muse_core.pretrain.matching import NucleusPairs, match_views
from muse_core.pretrain.roi_manifest import Roi, read_manifest
from muse_core.pretrain.views import View, draw_views, field_side_um
from muse_core.slides import Region, open_slide


@dataclass(frozen=True, eq=False)
class Crops:
    """Views of one size, ordered by view, then by sample.

    Attributes:
        images: (n, 3, S, S) uint8.
        xy: (n, N, 2) float32, matched nuclei in pixels; padded.
        valid: (n, N) bool, False for padding.
        appearances: Augmentation to apply to the views.
    """

    images: Tensor
    xy: Tensor
    valid: Tensor
    appearances: Appearance

    def to(self, device: torch.device) -> Crops:
        """The same on a device."""
        return Crops(
            self.images.to(device, non_blocking=True),
            self.xy.to(device, non_blocking=True),
            self.valid.to(device, non_blocking=True),
            self.appearances.to(device),
        )


@dataclass(frozen=True, eq=False)
class PretrainBatch:
    """Samples for one pass of one process.

    Attributes:
        groups: Global views, then local ones if there are any.
        teacher_row: (P,) rows of matched nuclei in the teacher's view. Rows count the valid nuclei
            of all groups in order.
        student_row: (P,) rows of the same nuclei in the student's view.
        pair: (P,) which pair of views each match is of.
        pair_size: (Q,) matches of each pair.
    """

    groups: tuple[Crops, ...]
    teacher_row: Tensor
    student_row: Tensor
    pair: Tensor
    pair_size: Tensor

    def to(self, device: torch.device) -> PretrainBatch:
        """The same on a device."""
        groups = tuple(group.to(device) for group in self.groups)
        rows = (self.teacher_row, self.student_row, self.pair, self.pair_size)
        return PretrainBatch(groups, *(r.to(device, non_blocking=True) for r in rows))


class BatchDataset(Dataset[PretrainBatch]):
    """The batches that one process still has to see."""

    def __init__(
        self, config: PretrainConfig, start_step: int = 0, rank: int = 0, n_processes: int = 1
    ) -> None:
        """Read the manifest.

        Args:
            config: The run.
            start_step: Optimiser steps already made.
            rank: Number of this process.
            n_processes: How many there are.

        Raises:
            UserError: The ROIs cannot be read, there are none or they hold no nuclei, or the batch
                cannot be shared equally.
        """
        parts = n_processes * config.schedule.accumulate
        if config.schedule.batch % parts:
            raise UserError(
                f"A batch of {config.schedule.batch} cannot be shared by {n_processes} process(es)"
                f" in {config.schedule.accumulate} part(s)."
            )
        self.samples = config.schedule.batch // parts
        self._config = config
        self._rank = rank
        self._n_processes = n_processes
        self._first = start_step * config.schedule.accumulate
        self._folder = config.rois
        self._rois = read_manifest(config.rois).rois
        if not self._rois:
            raise UserError(f"There are no ROIs in {config.rois}.")
        if config.losses.nucleus_weight and not any(roi.n_nuclei for roi in self._rois):
            raise UserError(
                f"The ROIs in {config.rois} hold no nuclei, which are what MUSE learns from; cut"
                " others, or set losses.nucleus_weight to 0."
            )
        area = np.array([roi.area_um2 for roi in self._rois])
        self._cumulative = np.cumsum(area / area.sum())

    def __len__(self) -> int:
        schedule = self._config.schedule
        return schedule.steps * schedule.accumulate - self._first

    def __getitem__(self, item: int) -> PretrainBatch:
        if item >= len(self):
            raise IndexError(item)
        base = ((self._first + item) * self._n_processes + self._rank) * self.samples
        rngs = [np.random.default_rng((self._config.seed, base + i)) for i in range(self.samples)]
        samples = [self._views(self._roi(base + i), rng) for i, rng in enumerate(rngs)]
        return _collate(samples, rngs, self._config)

    def _roi(self, sample: int) -> Roi:
        """Return the ROI of a sample; ROIs are drawn by their area."""
        group = sample // self._config.schedule.samples_per_roi
        # Seeded with one number more than samples, so that it differs from all their generators.
        drawn = np.random.default_rng((self._config.seed, group, 1)).random()
        return self._rois[min(int(np.searchsorted(self._cumulative, drawn)), len(self._rois) - 1)]

    def _views(self, roi: Roi, rng: np.random.Generator) -> list[View]:
        side = field_side_um(self._config.views) / roi.mpp
        field = read_field(self._folder, roi, round(side), rng)
        return draw_views(field, roi.mpp, self._config.views, rng)


def read_field(folder: Path, roi: Roi, side_px: int, rng: np.random.Generator) -> View:
    """Read a square around a random nucleus of a ROI, or around a random place if it has none.

    Args:
        folder: Of the ROIs.
        roi: Where to read.
        side_px: Side of the square; less where the ROI is smaller.
        rng: Source of randomness.

    Raises:
        UserError: The ROI's files are missing, damaged, or not those of the manifest.
    """
    xy = _read_points((folder / roi.file).with_suffix(".npy"))
    size = np.array([roi.width_px, roi.height_px])
    centre = xy[rng.integers(len(xy))] if len(xy) else rng.uniform(0, size)
    sides = np.minimum(side_px, size)
    corner = np.clip(np.round(centre - sides / 2), 0, size - sides).astype(np.int64)
    region = Region(float(corner[0]), float(corner[1]), float(sides[0]), float(sides[1]))
    with open_slide(folder / roi.file, mpp=roi.mpp, force_mpp=True) as image:
        if (image.width, image.height) != (roi.width_px, roi.height_px):
            # What lies outside an image is read as white glass.
            raise UserError(
                f"{folder / roi.file} has {image.width} x {image.height} pixels, not the"
                f" {roi.width_px} x {roi.height_px} it was cut with; run muse rois again."
            )
        pixels = image.read(region)
    local = xy - corner
    inside = ((local >= 0) & (local < sides)).all(axis=1)
    return View(pixels, local[inside], np.flatnonzero(inside))


def _read_points(path: Path) -> npt.NDArray[np.float64]:
    try:
        points = np.load(path, allow_pickle=False)
    except Exception as error:
        # NumPy evaluates the header as Python text, so that damage may raise any error.
        raise UserError(f"{path} is missing or damaged; run muse rois again.") from error
    if points.dtype.kind not in "iuf" or points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"{path} is damaged; run muse rois again.")
    result: npt.NDArray[np.float64] = points.astype(np.float64)
    if not np.isfinite(result).all():
        raise UserError(f"{path} has nuclei that lie nowhere; run muse rois again.")
    return result


def _collate(
    samples: Sequence[Sequence[View]], rngs: Sequence[np.random.Generator], config: PretrainConfig
) -> PretrainBatch:
    views = list(zip(*samples, strict=True))
    n_global = config.views.n_global
    pairs = match_views(
        [[view.index for view in same] for same in views],
        n_global,
        config.losses.nuclei_per_pair if config.losses.nucleus_weight else 0,
        rngs,
    )
    flat = [view for same in views for view in same]
    points, pairs = _matched_only([view.xy for view in flat], pairs)
    # Drawn from the sample's own generator, so that it does not depend on the rest of the batch.
    drawn = [[draw_appearance(config.appearance, rng) for _ in views] for rng in rngs]
    appearances = [look for same in zip(*drawn, strict=True) for look in same]
    border = n_global * len(samples)
    groups = [_crops(flat[:border], points[:border], appearances[:border])]
    if len(flat) > border:
        groups.append(_crops(flat[border:], points[border:], appearances[border:]))
    rows = (pairs.teacher, pairs.student, pairs.pair, pairs.pair_size)
    return PretrainBatch(tuple(groups), *(torch.from_numpy(r) for r in rows))


def _matched_only(
    points: list[npt.NDArray[np.float64]], pairs: NucleusPairs
) -> tuple[list[npt.NDArray[np.float64]], NucleusPairs]:
    """Leave out nuclei of no pair, so that nothing is projected in vain."""
    starts = np.cumsum([0] + [len(xy) for xy in points])
    used = np.zeros(starts[-1], dtype=bool)
    used[pairs.teacher] = True
    used[pairs.student] = True
    new_row = np.cumsum(used) - 1
    kept = [xy[used[a:b]] for xy, a, b in zip(points, starts[:-1], starts[1:], strict=True)]
    matched = NucleusPairs(
        new_row[pairs.teacher], new_row[pairs.student], pairs.pair, pairs.pair_size
    )
    return kept, matched


def _crops(
    views: Sequence[View],
    points: Sequence[npt.NDArray[np.float64]],
    appearances: Sequence[npt.NDArray[np.float32]],
) -> Crops:
    images = np.stack([view.pixels.transpose(2, 0, 1) for view in views])
    # At least one point, so that the features depend on the network: a process without nuclei would
    # otherwise have no gradient, for which the other processes wait.
    longest = max(1, *(len(xy) for xy in points))
    xy = np.zeros((len(views), longest, 2), dtype=np.float32)
    valid = np.zeros((len(views), longest), dtype=bool)
    for i, own in enumerate(points):
        xy[i, : len(own)] = own
        valid[i, : len(own)] = True
    return Crops(
        torch.from_numpy(images),
        torch.from_numpy(xy),
        torch.from_numpy(valid),
        stack_appearances(appearances),
    )
