"""Choose the size of tiles by the memory that the network takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muse_core.models.config import BackboneConfig

TILE_PX = 1024
"""Largest side of a tile where nothing else is known."""
STREAMS = 2
"""Tiles that OpenVINO computes at a time where there are cores for it; they share the memory."""
_LARGEST_PX = 2368
"""Beyond it halos, 18% of all pixels here, hardly become less."""
_ALIGN_PX = 32
_ACTIVATIONS_BYTES = 260_000_000
"""Of one tile."""
_STAGE_HELD, _STRIDED_STAGE_HELD = 1.05, 0.75
"""Values that OpenVINO holds for a pixel, over the channels of the encoder's first stage: after a
stem that pools, and after a strided one, which has only one map at half of the resolution."""
_FEATURES_HELD = 5
"""The same over the features of a pixel; what is more counts. Measured on the bundled networks."""
_FIRST_STAGE = {"resnet10t": 64, "resnet14t": 64, "resnet18": 64, "resnet34": 64}
_WIDE_STAGE = 256


def tile_px_within_memory(backbone: BackboneConfig, bytes_per_value: int) -> int:
    """Largest side of a tile that a converted network computes in some hundred megabytes.

    It depends on the network and not on free memory, so that a resumed run has the same tiles.

    Args:
        backbone: Of the network.
        bytes_per_value: 2 in bfloat16, 4 in float32.
    """
    features = backbone.n_maps * backbone.hyper_channels / backbone.map_stride_px**2
    given = backbone.encoder_channels
    stage = given[0] if given else _FIRST_STAGE.get(backbone.encoder, _WIDE_STAGE)
    held = _STRIDED_STAGE_HELD if backbone.strided_stem else _STAGE_HELD
    per_px = max(held * stage, _FEATURES_HELD * features) * bytes_per_value
    side = math.isqrt(int(_ACTIVATIONS_BYTES / per_px)) // _ALIGN_PX * _ALIGN_PX
    return min(_LARGEST_PX, max(TILE_PX // 2, side))
