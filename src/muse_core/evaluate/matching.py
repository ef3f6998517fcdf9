"""One-to-one matching of detected with annotated points, greedy by distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_core.neighbours import distances_between

MATCH_RADIUS_UM = 3.0


@dataclass(frozen=True)
class Counts:
    """Detections right and wrong; adding pools them over images."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a nucleus nor a detection, so that no figure says anything."""
        return not (self.true_positive or self.false_positive or self.false_negative)

    @property
    def precision(self) -> float:
        """Share of detections that are nuclei; 0 when nothing was detected."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """Share of nuclei that were detected; 0 when there is none."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0 to 1."""
        wrong = self.false_positive + self.false_negative
        return _ratio(2 * self.true_positive, 2 * self.true_positive + wrong)


def match_points(
    found_xy: npt.ArrayLike, true_xy: npt.ArrayLike, radius_px: float
) -> npt.NDArray[np.int64]:
    """Pair points one to one, the closest pair first.

    Args:
        found_xy: (n, 2) detected points.
        true_xy: (m, 2) annotated points, same units.
        radius_px: Largest distance of a pair, inclusive.

    Returns:
        (k, 2) int64, indices (found, true) of the pairs; ties go to the lower indices.
    """
    found = np.asarray(found_xy, dtype=np.float64).reshape(-1, 2)
    true = np.asarray(true_xy, dtype=np.float64).reshape(-1, 2)
    if len(found) == 0 or len(true) == 0:
        return np.zeros((0, 2), dtype=np.int64)
    near = distances_between(found, true, radius_px)
    free_found = np.ones(len(found), dtype=bool)
    free_true = np.ones(len(true), dtype=bool)
    pairs = []
    for k in np.lexsort((near["j"], near["i"], near["v"])):
        i, j = near["i"][k], near["j"][k]
        if free_found[i] and free_true[j]:
            free_found[i] = free_true[j] = False
            pairs.append((i, j))
    return np.asarray(pairs, dtype=np.int64).reshape(-1, 2)


def count_matches(found_xy: npt.ArrayLike, true_xy: npt.ArrayLike, radius_px: float) -> Counts:
    """Counts of one image; see :func:`match_points`."""
    matched = len(match_points(found_xy, true_xy, radius_px))
    n_found = len(np.asarray(found_xy).reshape(-1, 2))
    n_true = len(np.asarray(true_xy).reshape(-1, 2))
    return Counts(matched, n_found - matched, n_true - matched)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
