from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from muse_core.finetune.losses.assignment import match_proposals


def _total(
    anchors: np.ndarray, proposals: np.ndarray, p: np.ndarray, true: np.ndarray, reach: float
) -> float:
    """Dense reference: the minimum cost of matching all points of one image."""
    cost = np.linalg.norm(true[:, None] - proposals[None], axis=2) / reach - p[None]
    far = np.linalg.norm(true[:, None] - anchors[None], axis=2) > reach
    cost[far] = 1e6
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.lists(st.integers(0, 8), min_size=1, max_size=3))
def test_cost_is_the_least_possible(seed: int, n: list[int]) -> None:
    rng = np.random.default_rng(seed)
    grid = (np.stack(np.meshgrid(np.arange(8), np.arange(8)), -1).reshape(-1, 2) + 0.5) * 4
    anchors = grid.astype(np.float32)
    proposals = (anchors + rng.normal(0, 2, (len(n), 64, 2))).astype(np.float32)
    p = rng.random((len(n), 64)).astype(np.float32)
    true = [rng.uniform(0, 32, (k, 2)).astype(np.float32) for k in n]
    image, proposal, point = match_proposals(anchors, proposals, p, true, 8.0)
    for b, points in enumerate(true):
        mine = image == b
        assert sorted(point[mine].tolist()) == list(range(len(points)))
        assert len(set(proposal[mine].tolist())) == len(points)
        distance = np.linalg.norm(proposals[b, proposal[mine]] - points[point[mine]], axis=1)
        got = float((distance / 8.0 - p[b, proposal[mine]]).sum())
        assert abs(got - _total(anchors, proposals[b], p[b], points, 8.0)) < 1e-3


def test_more_points_than_anchors_leaves_some_unmatched() -> None:
    anchors = np.array([[2.0, 2.0]], dtype=np.float32)
    true = [np.array([[2.0, 2.0], [3.0, 2.0]], dtype=np.float32)]
    p = np.zeros((1, 1), dtype=np.float32)
    image, proposal, point = match_proposals(anchors, anchors[None], p, true, 8.0)
    assert (image.tolist(), proposal.tolist(), point.tolist()) == ([0], [0], [0])


def test_no_points_no_pairs() -> None:
    anchors = np.array([[2.0, 2.0]], dtype=np.float32)
    none = [np.zeros((0, 2), dtype=np.float32)]
    found = match_proposals(anchors, anchors[None], np.zeros((1, 1), np.float32), none, 8.0)
    assert all(len(part) == 0 for part in found)
