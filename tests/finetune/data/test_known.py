from __future__ import annotations

import numpy as np

from muse_core.finetune.data.known import ANNOTATION_REACH_UM, known_around, pixels_near


def test_known_is_what_lies_within_reach_of_an_annotation() -> None:
    xy = np.array([[10.3, 20.7], [50.0, 5.0], [200.0, 5.0]], dtype=np.float32)
    mpp = 0.5
    known = known_around(xy, (60, 80), mpp)
    rows, columns = np.mgrid[:60, :80]
    distance = np.min([np.hypot(columns - np.floor(x), rows - np.floor(y)) for x, y in xy], axis=0)
    np.testing.assert_array_equal(known, distance * mpp <= ANNOTATION_REACH_UM)
    assert 0 < known.mean() < 0.2


def test_nothing_annotated_nothing_known() -> None:
    assert not known_around(np.zeros((0, 2), np.float32), (8, 9), 0.5).any()


def test_pixels_near_points_are_those_whose_centres_lie_within_the_radius() -> None:
    xy = np.array([[10.3, 20.7], [-1.0, 5.0], [79.9, 59.9], [500.0, 5.0]])
    rows, columns = np.mgrid[:60, :80] + 0.5
    distance = np.min([np.hypot(columns - x, rows - y) for x, y in xy], axis=0)
    np.testing.assert_array_equal(pixels_near(xy, 6.0, (60, 80)), distance <= 6.0)
    assert not pixels_near(np.zeros((0, 2)), 6.0, (8, 9)).any()
