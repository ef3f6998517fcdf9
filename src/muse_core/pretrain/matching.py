"""Match the nuclei that two views have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from muse_core.array_types import IntArray


@dataclass(frozen=True)
class NucleusPairs:
    """Matched nuclei of the ordered pairs of views of one or more samples.

    Rows count the nuclei of all views, view by view (see :func:`match_views`).

    Attributes:
        teacher: (P,) row of each match in the teacher's view.
        student: (P,) row of the same nucleus in the student's view.
        pair: (P,) pair of views that a match is of, 0 to Q - 1; pairs without matches do not count.
        pair_size: (Q,) matches of each pair.
    """

    teacher: IntArray
    student: IntArray
    pair: IntArray
    pair_size: IntArray


def match_views(
    views: Sequence[Sequence[IntArray]],
    n_teacher: int,
    cap: int,
    rngs: Sequence[np.random.Generator],
) -> NucleusPairs:
    """Match the nuclei of all ordered pairs (teacher's view, other view) of each sample.

    Args:
        views: For each view the indices of its nuclei in each sample: views[v][b] is (n,), without
            repetition. Rows count through views, in them through samples, in them through nuclei.
        n_teacher: The first so many views are those the teacher sees.
        cap: Matches kept of a pair, at random where there are more.
        rngs: Source of randomness of each sample.
    """
    sizes = np.array([[len(ids) for ids in view] for view in views], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes.ravel())])[:-1].reshape(sizes.shape)
    found: list[tuple[IntArray, IntArray]] = []
    for b in range(sizes.shape[1]):
        for t in range(n_teacher):
            for s in range(len(views)):
                if s == t:
                    continue
                _, in_t, in_s = np.intersect1d(
                    views[t][b], views[s][b], assume_unique=True, return_indices=True
                )
                if len(in_t) > cap:
                    kept = rngs[b].choice(len(in_t), cap, replace=False)
                    in_t, in_s = in_t[kept], in_s[kept]
                if len(in_t):
                    found.append((starts[t, b] + in_t, starts[s, b] + in_s))
    pair_size = np.array([len(t) for t, _ in found], dtype=np.int64)
    empty = np.zeros(0, dtype=np.int64)
    return NucleusPairs(
        teacher=np.concatenate([t for t, _ in found]) if found else empty,
        student=np.concatenate([s for _, s in found]) if found else empty,
        pair=np.repeat(np.arange(len(found)), pair_size),
        pair_size=pair_size,
    )
