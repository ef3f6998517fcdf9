from __future__ import annotations

import math

import numpy as np
import pytest

from muse_core.detect.uncertainty import ENTROPY, MARGIN, uncertainty


def test_worked_by_hand() -> None:
    found = uncertainty(
        np.array([1.0, 0.5, 0.75], np.float32),
        np.array([[1, 0], [0.5, 0.5], [1 / 3, 2 / 3]], np.float32),
    )
    # Joint probabilities: (0, 1, 0), (1/2, 1/4, 1/4), (1/4, 1/4, 1/2).
    half = (0.5 * math.log(2) + 0.5 * math.log(4)) / math.log(3)
    assert found[:, ENTROPY].tolist() == pytest.approx([0, half, half])
    assert found[:, MARGIN].tolist() == pytest.approx([1, 0.25, 0.25])


def test_all_alike_is_the_greatest_doubt() -> None:
    found = uncertainty(np.array([0.75], np.float32), np.full((1, 3), 1 / 3, np.float32))
    assert found[0].tolist() == pytest.approx([1, 0], abs=1e-6)


def test_of_none_there_is_none() -> None:
    assert uncertainty(np.zeros(0, np.float32), np.zeros((0, 3), np.float32)).shape == (0, 2)
