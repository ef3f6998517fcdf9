"""Choose the size of tiles by the memory that the network takes."""

from __future__ import annotations

import math

TILE_PX = 1024
"""Largest side of a tile where nothing else is known."""
_LARGEST_PX = 2368
"""Beyond it halos of 64 px, 12% of all pixels here, hardly become less."""
_ALIGN_PX = 32
_ACTIVATIONS_BYTES = 640_000_000
_MAPS_HELD = 9.5
"""Memory of OpenVINO for a pixel of a tile over that of its features; measured on two networks."""


def tile_px_within_memory(feature_values_per_px: float, bytes_per_value: int) -> int:
    """Largest side of a tile that a converted network computes in some hundred megabytes.

    It hangs on the network alone, not on what is free: a run that goes on has the same tiles.

    Args:
        feature_values_per_px: Values of the feature map for one pixel of the tile.
        bytes_per_value: 2 in bfloat16, 4 in float32.
    """
    per_px = _MAPS_HELD * feature_values_per_px * bytes_per_value
    side = math.isqrt(int(_ACTIVATIONS_BYTES / per_px)) // _ALIGN_PX * _ALIGN_PX
    return min(_LARGEST_PX, max(TILE_PX // 2, side))
