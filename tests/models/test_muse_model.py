from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from muse_core.models.duplicates import first_of_duplicates
from muse_core.models.heads import anchor_grid
from muse_core.models.muse_model import MuseModel


def _brute_force(xy: np.ndarray, radius: float) -> list[int]:
    kept: list[int] = []
    for i in range(len(xy)):
        if all(np.linalg.norm(xy[i] - xy[j]) > radius for j in kept):
            kept.append(i)
    return kept


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=30),
    st.floats(0.5, 5.3),
)
def test_duplicates_go_as_by_brute_force(points: list[tuple[int, int]], radius: float) -> None:
    xy = np.array(points, dtype=np.float32).reshape(-1, 2)
    assert first_of_duplicates(xy, radius).tolist() == _brute_force(xy, radius)


def test_anchors_are_cell_centres_row_by_row() -> None:
    grid = anchor_grid(2, 3, torch.device("cpu"))
    assert grid.tolist() == [[2, 2], [6, 2], [10, 2], [2, 6], [6, 6], [10, 6]]


def test_predict_keeps_the_threshold_and_sorts(tiny_model: MuseModel) -> None:
    image = torch.rand(2, 3, 64, 96)
    for found in tiny_model.predict(image, min_score=0.015):
        assert (found.score >= 0.015).all()
        assert (np.diff(found.score) <= 0).all()
        assert found.class_probs.shape == (len(found.xy), 2)
        np.testing.assert_allclose(found.class_probs.sum(axis=1), 1, atol=1e-5)
        assert len(found.xy) > 0


def test_predict_can_find_nothing(tiny_model: MuseModel) -> None:
    found = tiny_model.predict(torch.ones(1, 3, 64, 64), min_score=1.0)[0]
    assert found.xy.shape == (0, 2)
    assert found.class_probs.shape == (0, 2)
