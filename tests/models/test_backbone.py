from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from muse_core.errors import UserError
from muse_core.models.backbone import MuseBackbone
from muse_core.models.config import BackboneConfig
from muse_core.models.encoders import resize_position_embedding

SMALL: dict[str, Any] = {"decoder_channels": (8, 8, 8, 8), "hyper_channels": 8}


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
    with pytest.raises(UserError, match="multiples of 16"):
        backbone(torch.rand(1, 3, 100, 96))


def test_position_embeddings_are_used_as_stored_at_their_own_size() -> None:
    stored = torch.randn(1, 17, 5)
    assert resize_position_embedding(stored, 4, 4) is stored


@pytest.mark.parametrize(("rows", "columns"), [(2, 8), (6, 6), (13, 5)])
def test_position_embeddings_of_other_sizes_follow_the_place(rows: int, columns: int) -> None:
    # An embedding that is a linear ramp over the image stays one inside, whatever the grid.
    ramp = (torch.arange(4.0) + 0.5) / 4
    x, y = torch.meshgrid(ramp, ramp, indexing="xy")
    stored = torch.cat([torch.tensor([[9.0, 9.0]]), torch.stack([x, y], -1).reshape(-1, 2)])[None]
    resized = resize_position_embedding(stored, rows, columns)
    assert resized.shape == (1, 1 + rows * columns, 2)
    assert resized[0, 0].tolist() == [9.0, 9.0]
    grid = resized[0, 1:].reshape(rows, columns, 2)
    assert (grid[:, 1:, 0] > grid[:, :-1, 0]).all()
    assert (grid[1:, :, 1] > grid[:-1, :, 1]).all()
    assert float(grid[..., 0].mean()) == pytest.approx(0.5, abs=0.05)


def test_position_embeddings_have_the_wanted_size_for_every_image() -> None:
    for side in (14, 32):
        stored = torch.zeros(1, 1 + side * side, 1)
        for rows in range(6, 65):
            assert resize_position_embedding(stored, rows, 70 - rows).shape[1] == 1 + rows * (
                70 - rows
            )


def test_position_embeddings_may_be_stored_for_another_size() -> None:
    config = BackboneConfig("vit_tiny_patch16_224", None, 48, True, input_px=512)
    backbone = MuseBackbone(config).eval()
    assert backbone.state_dict()["encoder.network.pos_embed"].shape == (1, 1025, 192)
    assert backbone(torch.rand(1, 3, 96, 208))[0].shape == (1, 192, 24, 52)


@pytest.mark.parametrize("encoder", ["vit_tiny_r_s16_p8_224", "vit_little_patch16_reg4_gap_256"])
def test_vits_of_another_make_are_refused(encoder: str) -> None:
    with pytest.raises(UserError, match="not a ViT of patches"):
        MuseBackbone(BackboneConfig(encoder, None))


@pytest.mark.parametrize(
    "data", [{"encoder": "resnet10t", "depth": 3}, {"hyper_channels": "many"}, {"input_px": -1}, 7]
)
def test_configurations_that_are_none_are_refused(data: object) -> None:
    with pytest.raises(UserError):
        BackboneConfig.from_json(data)  # type: ignore[arg-type]


def test_cards_from_before_a_field_existed_stay_readable() -> None:
    old = {"encoder": "resnet10t", "decoder_channels": [8, 8, 8, 8], "hyper_channels": 8}
    config = BackboneConfig.from_json(old)
    assert config == BackboneConfig("resnet10t", (8, 8, 8, 8), 8)
    assert BackboneConfig.from_json(config.to_json()) == config


@pytest.mark.slow
def test_the_largest_backbone_at_1024_px_fits_into_4_gb() -> None:
    code = (
        "import torch; from muse_core.jobs.peak_rss import peak_rss_mb;"
        "from muse_core.models.backbone import MuseBackbone;"
        "from muse_core.models.released import RELEASED;"
        "backbone = MuseBackbone(RELEASED[-1].backbone(512)).eval();"
        "torch.set_grad_enabled(False); f_map, _ = backbone(torch.rand(1, 3, 1024, 1024));"
        "print(*f_map.shape, peak_rss_mb())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True
    )
    *shape, peak_mb = done.stdout.split()
    assert shape == ["1", "768", "256", "256"]
    assert float(peak_mb) < 4000
