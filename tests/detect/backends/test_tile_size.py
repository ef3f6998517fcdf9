from __future__ import annotations

import pytest

from muse_core.detect.backends.tile_size import TILE_PX, tile_px_within_memory
from muse_core.models.card import read_card
from muse_core.models.config import BackboneConfig, ModelConfig
from muse_core.models.registry import resolve_model


@pytest.mark.parametrize(
    ("name", "bfloat16", "float32"),
    [("muse-small", 2304, 1632), ("muse-base", 1376, 960), ("muse-small-breast", 1376, 960)],
)
def test_bundled_networks_get_large_tiles(name: str, bfloat16: int, float32: int) -> None:
    backbone = ModelConfig.from_json(read_card(resolve_model(name)).architecture).backbone
    assert tile_px_within_memory(backbone, 2) == bfloat16
    assert tile_px_within_memory(backbone, 4) == float32


def test_a_wide_encoder_gets_smaller_tiles_whatever_follows_it() -> None:
    narrow_decoder = BackboneConfig("resnet10t", (8, 8, 8, 8), 8)
    assert tile_px_within_memory(narrow_decoder, 2) == 1376
    wide = BackboneConfig("resnet50", (8, 8, 8, 8), 8)
    assert TILE_PX // 2 <= tile_px_within_memory(wide, 4) < TILE_PX
