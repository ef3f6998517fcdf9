"""The network of the bundled thin model: half the width, stride 8, four anchors per cell."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from muse_core.errors import UserError
from muse_core.models.backbone import MuseBackbone
from muse_core.models.card import ModelCard
from muse_core.models.checkpoint import load_model, save_model
from muse_core.models.config import THIN, BackboneConfig, HeadConfig, ModelConfig
from muse_core.models.heads import PointHead
from muse_core.models.muse_model import MuseModel


@pytest.fixture(scope="module")
def thin() -> MuseModel:
    torch.manual_seed(0)
    card = ModelCard(
        name="thin",
        architecture=THIN.to_json(),
        mpp=0.5,
        fov_px=224,
        classes=[{"name": n, "color": "#ff0000"} for n in ("a", "b", "c")],
        score_threshold=0.0,
    )
    return MuseModel(card).eval()


def test_maps_are_at_stride_8_and_anchors_at_stride_4(thin: MuseModel) -> None:
    with torch.inference_mode():
        f_map, proposals = thin(torch.rand(2, 3, 96, 64))
    assert f_map.shape == (2, thin.backbone.out_channels, 12, 8)
    assert proposals.xy.shape == (2, 24 * 16, 2)
    assert proposals.anchor_xy.tolist()[:2] == [[2, 2], [6, 2]]


def test_the_four_anchors_of_a_cell_lie_two_by_two() -> None:
    head = PointHead(1, HeadConfig(hidden_channels=1, kernel=1), map_stride_px=8)
    with torch.no_grad():
        head.out.weight.zero_()
        # Among the logits, which come first, the one of a cell's second anchor is high.
        head.out.bias.copy_(torch.tensor([0.0, 5, 0, 0] + [0.0] * 8))
    proposals = head.eval().proposals(torch.zeros(1, 1, 2, 3))
    lit = proposals.anchor_xy[proposals.logit[0] == 5]
    assert lit.tolist() == [[6, 2], [14, 2], [22, 2], [6, 10], [14, 10], [22, 10]]


def test_it_has_a_third_of_the_multiplications(thin: MuseModel) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        thin(torch.rand(1, 3, 256, 256))
    gmac_per_mm2 = counter.get_total_flops() / 2 / 1e9 / (128e-3**2)
    assert gmac_per_mm2 < 50
    assert sum(p.numel() for p in thin.parameters()) < 2.3e6


def test_it_is_saved_and_loaded_with_its_card(thin: MuseModel, tmp_path: Path) -> None:
    path = tmp_path / "thin.safetensors"
    save_model(thin, path, half=False)
    again = load_model(path)
    image = torch.rand(1, 3, 64, 64)
    (before,), (after,) = thin.predict(image), again.predict(image)
    np.testing.assert_array_equal(before.xy, after.xy)
    np.testing.assert_array_equal(before.class_probs, after.class_probs)
    assert ModelConfig.from_json(again.card.architecture) == THIN


def test_bfloat16_agrees_with_float32(thin: MuseModel) -> None:
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        _, exact = thin(image)
        with torch.autocast("cpu", torch.bfloat16):
            _, rough = thin(image)
    assert float((exact.xy - rough.xy).abs().max()) < 0.25
    difference = exact.logit.sigmoid() - rough.logit.sigmoid()
    assert float(difference.abs().max()) < 0.02


def test_a_shift_by_whole_strides_commutes_with_the_network(thin: MuseModel) -> None:
    torch.manual_seed(0)
    image = torch.rand(1, 3, 544, 544)
    with torch.inference_mode():
        whole, _ = thin(image)
        part, _ = thin(image[..., 32:, 32:])
    inner, shifted = slice(32, 36), slice(28, 32)
    torch.testing.assert_close(
        whole[..., inner, inner], part[..., shifted, shifted], atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"map_stride_px": 16}, "4 or 8"),
        ({"map_stride_px": 8, "decoder_channels": (8, 8, 8, 8)}, "three whole numbers"),
        ({"encoder_channels": (8, 8, 8)}, "four whole numbers"),
        ({"encoder_channels": (8, 8, 8, 10**9)}, "four whole numbers"),
        ({"strided_stem": "no"}, "True or False"),
    ],
)
def test_odd_shapes_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        BackboneConfig.from_json(values)


@pytest.mark.parametrize("n_maps", [0, 4, True, "1"])
def test_the_head_reads_maps_that_there_are(n_maps: Any) -> None:
    given = THIN.to_json()
    given["head"] = dataclasses.asdict(THIN.head) | {"n_maps": n_maps}
    with pytest.raises(UserError, match=r"from 1 to 3 maps|n_maps is .* must be a whole number"):
        ModelConfig.from_json(given)


def test_the_head_reads_the_finest_map_alone(thin: MuseModel) -> None:
    f_map = torch.rand(1, thin.backbone.out_channels, 4, 4)
    changed = f_map.clone()
    changed[:, THIN.backbone.hyper_channels :] = 0
    with torch.inference_mode():
        of_all, of_finest = thin.point_head(f_map), thin.point_head(changed)
        changed[:, 0] += 1
        of_other = thin.point_head(changed)
    assert torch.equal(of_all.logit, of_finest.logit)
    assert not torch.equal(of_all.logit, of_other.logit)


@pytest.mark.parametrize("encoder", ["resnet10t", "resnet14t", "resnet18d", "resnet26"])
def test_a_strided_stem_keeps_strides_and_channels(encoder: str) -> None:
    plain = BackboneConfig(encoder, encoder_channels=(8, 16, 24, 32), decoder_channels=(8,) * 4)
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        before = MuseBackbone(plain).eval().encoder(image)[0]
        after = MuseBackbone(dataclasses.replace(plain, strided_stem=True)).eval().encoder(image)[0]
    assert [m.shape for m in after] == [m.shape for m in before]
    stride_px = [64 // m.shape[-2] for m in after]
    assert stride_px == [4, 8, 16, 32]


@pytest.mark.parametrize("encoder", ["mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_a_strided_stem_is_for_resnets(encoder: str) -> None:
    with pytest.raises(UserError, match="strided_stem"):
        MuseBackbone(BackboneConfig(encoder, strided_stem=True))


def test_cards_of_models_without_it_are_as_before() -> None:
    """Older programs refuse fields that they do not know."""
    assert "strided_stem" not in BackboneConfig().to_json()
    assert "n_maps" not in ModelConfig().to_json()["head"]  # type: ignore[operator]


def test_widths_are_for_resnets() -> None:
    config = BackboneConfig("mobilenetv3_small_050", encoder_channels=(8, 8, 8, 8))
    card = ModelCard("x", ModelConfig(config).to_json(), 0.5, 64, [], 0.5)
    with pytest.raises(UserError, match="ResNets"):
        MuseModel(card)
