"""The halo is wide enough: near a seam a tile finds the nuclei of one large tile."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from muse_core.detect import DetectConfig, open_backend
from muse_core.detect.backends.backend import Wanted
from muse_core.detect.backends.openvino_library import is_installed
from muse_core.models.registry import resolve_model
from muse_core.slides import Region, open_slide

pytestmark = [
    pytest.mark.skipif("ONEDNN_MAX_CPU_ISA" in os.environ, reason="OpenVINO finds no kernels then"),
    # Not importorskip, which would load its telemetry.
    pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed"),
]

SIDE, START, STOP = 1408, 384, 1024
BAND_PX = 48


def near_seam(xy: np.ndarray) -> np.ndarray:
    """(n,) whether points lie in the core of the small tile, near its border."""
    inside = np.minimum(xy - START, STOP - xy).min(axis=1)
    return np.asarray((inside >= 0) & (inside < BAND_PX))


@pytest.mark.parametrize("name", ["muse-small", "muse-base"])
def test_nuclei_near_seams_are_those_of_one_large_tile(name: str, cmu_slide: Path) -> None:
    halo = DetectConfig().halo_px
    config = DetectConfig(device="cpu", backend="openvino", precision="float32")
    backend = open_backend(resolve_model(name), config)
    asked = same = 0
    with open_slide(cmu_slide) as slide:
        images = [slide.read(Region(x, y, SIDE, SIDE)) for x, y in ((100, 900), (700, 1400))]
    for image in images:
        seen = slice(START - halo, STOP + halo)
        large, small = (
            backend.run([np.ascontiguousarray(part)], Wanted(backend.card.score_threshold))[0].xy
            for part in (image, image[seen, seen])
        )
        small = small + (START - halo)
        for one, other in ((large, small), (small, large)):
            distance, _ = cKDTree(other).query(one[near_seam(one)])
            asked, same = asked + len(distance), same + int((distance <= 0.5).sum())
    assert asked > 250
    assert same >= 0.995 * asked
