from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from muse_core.classify.features import FeatureSpec, iter_features, nucleus_features
from muse_core.errors import UserError
from muse_core.models.backbone import MuseBackbone
from muse_core.models.config import BackboneConfig
from muse_core.slides import Region, Slide, open_slide

from ..detect.dot_runs import DAMAGED, BrokenReads
from ..job_inputs import write_slide

SPEC = FeatureSpec(mpp=0.5, fov_px=64)


@pytest.fixture(scope="module")
def backbone() -> MuseBackbone:
    torch.manual_seed(0)
    return MuseBackbone(BackboneConfig("resnet10t", (8, 8, 8, 8), 8)).eval()


@pytest.fixture
def slide(tmp_path: Path) -> Slide:
    return open_slide(write_slide(tmp_path / "s.png", 300, 200), mpp=0.25)


POINTS = np.array([[0, 0], [300, 200], [10, 150], [150, 100], [151, 100], [299, 3]], float)


def test_a_feature_is_that_of_the_tile_around_it(slide: Slide, backbone: MuseBackbone) -> None:
    features = nucleus_features(slide, POINTS, backbone, SPEC)
    assert features.shape == (len(POINTS), 32)
    assert features.dtype == np.float16
    # By hand: cells of 32 px at 0.5 um/px are 64 px here; the tile reaches 32 px beyond its cell.
    for xy, feature in zip(POINTS, features, strict=True):
        corner = np.floor(xy / 64) * 64 - 32
        left, top = corner.tolist()
        image = slide.read(Region(left, top, 128, 128), 0.5)
        with torch.inference_mode():
            tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
            f_map, _ = backbone(tensor)
            point = torch.from_numpy((xy - corner) / 2)[None, None]
            expected = backbone.sample(f_map, point, (64, 64))[0, 0]
        np.testing.assert_allclose(feature, expected, rtol=2e-3, atol=2e-3)


def test_other_points_and_batches_change_nothing(slide: Slide, backbone: MuseBackbone) -> None:
    together = nucleus_features(slide, POINTS, backbone, SPEC)
    for i, point in enumerate(POINTS):
        alone = nucleus_features(slide, point, backbone, SPEC)
        np.testing.assert_allclose(alone[0], together[i], rtol=2e-3, atol=2e-3)
    batched = nucleus_features(slide, POINTS, backbone, FeatureSpec(0.5, 64, batch=3))
    np.testing.assert_allclose(batched, together, rtol=2e-3, atol=2e-3)


def test_progress_counts_tiles_and_cancel_stops(slide: Slide, backbone: MuseBackbone) -> None:
    seen: list[tuple[int, int]] = []
    nucleus_features(slide, POINTS, backbone, SPEC, on_progress=lambda d, t, _: seen.append((d, t)))
    assert seen == [(i + 1, 5) for i in range(5)]
    chunks: list[Any] = []
    for chunk in iter_features(slide, POINTS, backbone, SPEC, None, lambda: len(chunks) == 2):
        chunks.append(chunk)
    assert len(chunks) == 2


def test_points_that_cannot_be_read_have_no_features_and_the_others_theirs(
    slide: Slide, backbone: MuseBackbone
) -> None:
    points = np.array([[10, 10], [150, 100], [290, 190], [100, 30]], float)
    broken = BrokenReads(slide, Region(145, 95, 10, 10), DAMAGED)
    (chunk,) = iter_features(broken, points, backbone, FeatureSpec(0.5, 64, batch=9))
    assert chunk.unread.tolist() == [1]
    assert chunk.reason == "The file is damaged."
    assert sorted(chunk.rows) == [0, 2, 3]
    found = nucleus_features(broken, points, backbone, SPEC)
    assert np.isnan(found[1]).all()
    # Far from the place; the tile of the last has a part in it, and is white there.
    whole = nucleus_features(slide, points, backbone, SPEC)
    np.testing.assert_array_equal(found[[0, 2]], whole[[0, 2]])
    assert np.isfinite(found[3]).all()


def test_a_slide_of_which_nothing_can_be_read_gives_its_reason(
    slide: Slide, backbone: MuseBackbone
) -> None:
    broken = BrokenReads(slide, slide.bounds, DAMAGED)
    with pytest.raises(UserError, match="The file is damaged"):
        nucleus_features(broken, POINTS[2:], backbone, SPEC)


def test_no_points_give_no_features(slide: Slide, backbone: MuseBackbone) -> None:
    assert nucleus_features(slide, [], backbone, SPEC).shape == (0, 32)


@pytest.mark.parametrize("point", [(-1, 5), (5, 201), (float("nan"), 5)])
def test_points_beyond_the_slide_are_refused(
    slide: Slide, backbone: MuseBackbone, point: tuple[float, float]
) -> None:
    with pytest.raises(UserError, match="1 of 2 points lie outside"):
        nucleus_features(slide, [(1, 1), point], backbone, SPEC)


class _Failing(MuseBackbone):
    """Fails when it is given more than some number of images."""

    error: Exception
    max_images: int

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if len(image) > self.max_images:
            raise self.error
        return super().forward(image)


def _failing(backbone: MuseBackbone, error: Exception, max_images: int) -> _Failing:
    failing = _Failing(BackboneConfig("resnet10t", (8, 8, 8, 8), 8))
    failing.load_state_dict(backbone.state_dict())
    failing.error, failing.max_images = error, max_images
    return failing


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "mps"])
def test_where_memory_runs_out_batches_are_halved(
    slide: Slide, backbone: MuseBackbone, error: Exception
) -> None:
    narrow = _failing(backbone, error, max_images=1)
    features = nucleus_features(slide, POINTS, narrow, FeatureSpec(0.5, 64, batch=5))
    whole = nucleus_features(slide, POINTS, backbone, SPEC)
    np.testing.assert_allclose(features, whole, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "mps"])
def test_a_tile_that_memory_does_not_hold_is_said(
    slide: Slide, backbone: MuseBackbone, error: Exception
) -> None:
    with pytest.raises(UserError, match="not enough memory on cpu for a tile"):
        nucleus_features(slide, POINTS, _failing(backbone, error, max_images=0), SPEC)


def test_other_errors_are_not_taken_for_memory(slide: Slide, backbone: MuseBackbone) -> None:
    broken = _failing(backbone, RuntimeError("size mismatch"), max_images=1)
    with pytest.raises(RuntimeError, match="size mismatch"):
        nucleus_features(slide, POINTS, broken, FeatureSpec(0.5, 64, batch=5))
