"""The event that tells of nuclei."""

from __future__ import annotations

import json

import numpy as np
import pytest

from muse_core.detect.uncertainty import uncertainty
from muse_core.jobs.detect_job import nuclei_found
from muse_core.jobs.events import event_from_json
from muse_core.models.tile_detections import TileDetections


def test_an_event_tells_of_each_nucleus_in_order_and_is_text() -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], np.float32)
    found = TileDetections(
        np.array([[10.12345, 20.98765], [30.0, 2.0**30]]),
        np.array([0.91239, 0.5], np.float32),
        probs,
    )
    event = nuclei_found(found)
    assert event_from_json(json.loads(json.dumps(event.to_json()))) == event
    assert event.x == [10.123, 30.0]
    assert event.y == [20.988, 2.0**30]
    assert event.class_index == [0, 2]
    assert event.score == pytest.approx([0.9124, 0.5], abs=1e-9)
    unsure = uncertainty(found.score, probs)
    assert event.entropy == pytest.approx(unsure[:, 0].tolist(), abs=1e-4)
    assert event.margin == pytest.approx(unsure[:, 1].tolist(), abs=1e-4)
    assert all(0 <= value <= 1 for value in (*event.entropy, *event.margin))
