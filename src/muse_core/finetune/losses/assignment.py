"""One-to-one matching of proposals with annotated points, for a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from muse_core.neighbours import distances_between

# The solver wants positive costs; adding the same to each edge of a point changes no optimum.
_SHIFT = 2.0
_UNMATCHED = 1e4


def match_proposals(
    anchor_xy: npt.NDArray[np.float32],
    proposal_xy: npt.NDArray[np.float32],
    probability: npt.NDArray[np.float32],
    true_xy: Sequence[npt.NDArray[np.float32]],
    match_px: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Assign to each annotated point one proposal, at the least total cost.

    The cost of a pair is distance / match_px - probability, as in P2PNet (Song et al., ICCV 2021).
    Only anchors within ``match_px`` of a point may take it. That leaves a sparse problem, solved
    exactly for all images of the batch together.

    Args:
        anchor_xy: (N, 2), shared by all images.
        proposal_xy: (B, N, 2).
        probability: (B, N), nucleus probability.
        true_xy: B arrays (M_b, 2).
        match_px: Reach of an anchor in pixels.

    Returns:
        Three int64 arrays of equal length: image, proposal and annotated point of each pair.
        A point stays unmatched only if others have taken all anchors around it.
    """
    n_anchors = len(anchor_xy)
    counts = [len(t) for t in true_xy]
    total = sum(counts)
    if total == 0:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, nothing
    image = np.repeat(np.arange(len(counts)), counts)
    points = np.concatenate([np.asarray(t, dtype=np.float32).reshape(-1, 2) for t in true_xy])
    near = distances_between(points, anchor_xy, match_px)
    row, anchor = near["i"].astype(np.int64), near["j"].astype(np.int64)
    of = image[row]
    distance = np.linalg.norm(proposal_xy[of, anchor] - points[row], axis=1)
    cost = distance / match_px - probability[of, anchor] + _SHIFT
    cost = np.clip(cost, 1e-6, _UNMATCHED / 2)
    # Each point also has a proposal of its own that stands for "none", so a full matching exists.
    n_real = len(counts) * n_anchors
    graph = coo_array(
        (
            np.concatenate([cost, np.full(total, _UNMATCHED)]),
            (
                np.concatenate([row, np.arange(total)]),
                np.concatenate([of * n_anchors + anchor, n_real + np.arange(total)]),
            ),
        ),
        shape=(total, n_real + total),
    ).tocsr()
    rows, columns = min_weight_full_bipartite_matching(graph)
    real = columns < n_real
    rows, columns = rows[real].astype(np.int64), columns[real].astype(np.int64)
    first = np.cumsum([0, *counts[:-1]])
    return columns // n_anchors, columns % n_anchors, rows - first[image[rows]]
