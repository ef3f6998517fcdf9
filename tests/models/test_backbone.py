from __future__ import annotations

import pytest
import torch

from muse_core.errors import UserError
from muse_core.models.backbone import MuseBackbone
from muse_core.models.config import BackboneConfig

SMALL = {"decoder_channels": (8, 8, 8, 8), "hyper_channels": 8}


@pytest.mark.parametrize("encoder", ["resnet10t", "resnet18", "mobilenetv3_small_050"])
@pytest.mark.parametrize("size", [(96, 96), (64, 160)])
def test_conv_encoders_give_a_map_at_stride_4(encoder: str, size: tuple[int, int]) -> None:
    backbone = MuseBackbone(BackboneConfig(encoder=encoder, **SMALL)).eval()
    f_map, f_cls = backbone(torch.rand(2, 3, *size))
    assert f_map.shape == (2, 32, size[0] // 4, size[1] // 4)
    assert f_cls.ndim == 2
    assert len(f_cls) == 2


@pytest.mark.parametrize("size", [(96, 96), (224, 224), (128, 192)])
def test_vit_takes_variable_input_sizes(size: tuple[int, int]) -> None:
    config = BackboneConfig("vit_tiny_patch16_224", None, hyper_channels=48, align_corners=True)
    f_map, f_cls = MuseBackbone(config).eval()(torch.rand(1, 3, *size))
    assert f_map.shape == (1, 192, size[0] // 4, size[1] // 4)
    assert f_cls.shape == (1, 192)


def test_parameters_of_vit_small_are_the_papers() -> None:
    config = BackboneConfig("vit_small_patch16_224", None, hyper_channels=96, align_corners=True)
    count = sum(p.numel() for p in MuseBackbone(config).parameters())
    assert count / 1e6 == pytest.approx(31.1, abs=0.05)


def test_shift_by_whole_strides_commutes_with_the_network_inside() -> None:
    torch.manual_seed(0)
    config = BackboneConfig("resnet10t", (8, 8, 8, 8), 8, align_corners=False)
    backbone = MuseBackbone(config).eval()
    image = torch.rand(1, 3, 1056, 1056)
    whole, _ = backbone(image)
    part, _ = backbone(image[..., 32:, 32:])
    # 512 px from each edge is beyond the reach of the receptive field.
    inner = slice(512 // 4, 544 // 4)
    shifted = slice((512 - 32) // 4, (544 - 32) // 4)
    torch.testing.assert_close(
        whole[..., inner, inner], part[..., shifted, shifted], atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("encoder", ["no_such_network", "mixer_s32_224"])
def test_unfit_encoder_is_refused_with_a_sentence(encoder: str) -> None:
    with pytest.raises(UserError, match=r"encoder|Encoder"):
        MuseBackbone(BackboneConfig(encoder=encoder, **SMALL))


def test_odd_image_side_is_refused() -> None:
    backbone = MuseBackbone(BackboneConfig(**SMALL))
    with pytest.raises(UserError, match="multiples of 32"):
        backbone(torch.rand(1, 3, 100, 96))
