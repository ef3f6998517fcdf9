"""The original network's outputs on synthetic weights, which this network must reproduce."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from muse_core.models.released_import import backbone_entries, build_backbone, recognise

from .parity import synthetic_checkpoint, synthetic_image

TOLERANCE = 2e-4


@pytest.mark.parametrize("name", ["vit_small_224", "r50_224"])
def test_agrees_with_the_original_network(muse_data: Path, name: str) -> None:
    folder = muse_data.parent / "parity"
    if not folder.is_dir():
        pytest.skip(f"no stored outputs of the original network at {folder}")
    weights = backbone_entries(synthetic_checkpoint(folder / f"{name}.keys.json"), name)
    released, input_px = recognise(weights, name)
    backbone = build_backbone(released, input_px, weights, name)
    expected = np.load(folder / f"{name}.npz")
    image = synthetic_image(224)
    with torch.inference_mode():
        f_map, f_cls = backbone.features(image)
        xy = torch.from_numpy(expected["coords"])
        nuclei = backbone.sample(f_map, xy[None], (224, 224))[0]
    assert f_map.shape == tuple(expected["f_map_shape"])
    part = f_map[0, :: f_map.shape[1] // 16, ::7, ::7]
    np.testing.assert_allclose(part, expected["f_map_slice"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(f_cls[0], expected["f_cls"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(nuclei, expected["nucleus_features"], rtol=0, atol=TOLERANCE)
    assert float(f_map.mean()) == pytest.approx(float(expected["f_map_mean"]), abs=TOLERANCE)
    assert float(f_map.std()) == pytest.approx(float(expected["f_map_std"]), abs=TOLERANCE)
