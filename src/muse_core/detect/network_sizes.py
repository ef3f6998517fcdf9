"""Let tiles of a plan share few image sizes, where a network is prepared for each new size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

ImageSize = tuple[int, int]
"""Height and width, px."""
_NEW_SIZE_PX = 250_000
"""What it may cost to do without a size, in pixels put through the network. Preparing OpenVINO for
a size costs as much as 0.6 to 1 million in bfloat16, but only when the size is new."""
_MOST_SIZES = 28
"""OpenVINO forgets sizes beyond some 45 and prepares them again, see openvino_session.py. Each
takes memory: with 40 muse-base took 1.3 GB on ragged tissue, and with 28 it takes 1.15 and no
longer; muse-small takes 3% longer."""


def shared_sizes(sizes: Sequence[ImageSize]) -> Mapping[ImageSize, ImageSize]:
    """Choose at which size each tile goes through the network, padded where it is smaller.

    One size after the other is given up for a larger one, that which adds the fewest pixels first:
    as long as this costs less than to prepare the network for it, and while there are too many.

    Args:
        sizes: Those of all tiles, in their order. The first tile is not padded, because nuclei are
            to appear soon.

    Returns:
        For each size the one to use; both sides are at least as long.
    """
    counts = Counter(sizes)
    kept = np.array(list(counts), dtype=np.int64).reshape(-1, 2)
    number = np.array(list(counts.values()), dtype=np.int64)
    use = {size: size for size in counts}
    while len(kept) > 1:
        added = _added_px(kept, number)
        added[0] = np.inf  # the first tile's
        given_up, instead = np.unravel_index(int(added.argmin()), added.shape)
        least = added[given_up, instead]
        if not np.isfinite(least) or (least >= _NEW_SIZE_PX and len(kept) <= _MOST_SIZES):
            break
        old, new = (_size(kept[i]) for i in (given_up, instead))
        use = {size: new if used == old else used for size, used in use.items()}
        number[instead] += number[given_up]
        kept, number = (np.delete(values, given_up, axis=0) for values in (kept, number))
    return use


def _added_px(
    kept: npt.NDArray[np.int64], number: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return (n, n) pixels that giving up each size for each other adds; infinite if smaller."""
    px = kept.prod(axis=1)
    larger = np.all(kept >= kept[:, None], axis=2) & ~np.eye(len(kept), dtype=bool)
    added: npt.NDArray[np.float64] = np.where(larger, (px - px[:, None]) * number[:, None], np.inf)
    return added


def _size(sides: npt.NDArray[np.int64]) -> ImageSize:
    return int(sides[0]), int(sides[1])
