"""Features of a slide's nuclei, tile by tile, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from muse_core.classify.tiles import FeatureTile, FeatureTiles, plan_feature_tiles
from muse_core.errors import UserError
from muse_core.memory import require_batch_memory
from muse_core.models.backbone import MuseBackbone
from muse_core.models.out_of_memory import free_cached_memory, is_out_of_memory
from muse_core.models.point_features import features_at_points, image_batch
from muse_core.progress import OnProgress
from muse_core.slides import Slide

_READERS = 2
_BATCH = {"cuda": 16, "mps": 4}
_FLOAT16_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class FeatureSpec:
    """Settings by which features of nuclei are computed.

    Attributes:
        mpp: Microns per pixel the network sees, its card's.
        fov_px: Side of the tiles in pixels, a multiple of 32, by default the card's.
        batch: Tiles in one pass; None chooses by device.
    """

    mpp: float
    fov_px: int
    batch: int | None = None


@dataclass(frozen=True)
class FeatureChunk:
    """Features of some of the points.

    Attributes:
        rows: (n,) int64, which points.
        features: (n, D) float16.
        tiles_done: Tiles done so far.
        tiles_total: Tiles in all.
    """

    rows: npt.NDArray[np.int64]
    features: npt.NDArray[np.float16]
    tiles_done: int
    tiles_total: int


def nucleus_features(
    slide: Slide,
    xy: npt.ArrayLike,
    backbone: MuseBackbone,
    spec: FeatureSpec,
    device: torch.device | None = None,
    on_progress: OnProgress | None = None,
) -> npt.NDArray[np.float16]:
    """Features of nuclei of a slide.

    Args:
        slide: An open slide with a known MPP.
        xy: (N, 2), level-0 pixels.
        backbone: The network.
        spec: Resolution and field of view.
        device: Where to compute; None is the CPU.
        on_progress: Called with tiles done, tiles in all and a message.

    Returns:
        (N, D) float16, in the order of the points.

    Raises:
        UserError: The slide has no MPP, a point lies outside it, or the field of view does not fit.
    """
    points = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    features = np.zeros((len(points), backbone.out_channels), dtype=np.float16)
    for chunk in iter_features(slide, points, backbone, spec, device):
        features[chunk.rows] = chunk.features
        if on_progress:
            on_progress(chunk.tiles_done, chunk.tiles_total, "Computing features")
    return features


def iter_features(
    slide: Slide,
    xy: npt.ArrayLike,
    backbone: MuseBackbone,
    spec: FeatureSpec,
    device: torch.device | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> Iterator[FeatureChunk]:
    """Like :func:`nucleus_features`, in chunks; each point comes exactly once unless cancelled.

    Args:
        slide: An open slide with a known MPP.
        xy: (N, 2), level-0 pixels.
        backbone: The network.
        spec: Resolution and field of view.
        device: Where to compute; None is the CPU.
        should_cancel: Asked between batches of tiles.
    """
    points = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    _refuse_outside(slide, points)
    plan = plan_feature_tiles(points, spec.mpp / slide.require_mpp(), spec.fov_px)
    where = device or torch.device("cpu")
    backbone.to(where).eval()
    done = 0
    batch = min(spec.batch or _BATCH.get(where.type, 1), len(plan))
    require_batch_memory("tiles", batch, spec.fov_px**2, where.type)
    for tiles, images in _batches(slide, plan, spec, batch, should_cancel or (lambda: False)):
        done += len(tiles)
        yield FeatureChunk(
            np.concatenate([tile.rows for tile in tiles]),
            _compute(backbone, tiles, images, where),
            done,
            len(plan),
        )


def _batches(
    slide: Slide,
    plan: FeatureTiles,
    spec: FeatureSpec,
    batch: int,
    should_cancel: Callable[[], bool],
) -> Iterator[tuple[list[FeatureTile], list[npt.NDArray[np.uint8]]]]:
    """Tiles with their pixels, in order; threads read ahead by a bounded number of tiles."""
    waiting: deque[tuple[FeatureTile, Future[npt.NDArray[np.uint8]]]] = deque()
    coming = (plan[i] for i in range(len(plan)))
    pool = ThreadPoolExecutor(_READERS, thread_name_prefix="feature-reader")
    try:
        while not should_cancel():
            while len(waiting) < batch + _READERS:
                tile = next(coming, None)
                if tile is None:
                    break
                waiting.append((tile, pool.submit(slide.read, tile.region, spec.mpp)))
            if not waiting:
                return
            taken = [waiting.popleft() for _ in range(min(batch, len(waiting)))]
            yield [tile for tile, _ in taken], [image.result() for _, image in taken]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _compute(
    backbone: MuseBackbone,
    tiles: list[FeatureTile],
    images: list[npt.NDArray[np.uint8]],
    device: torch.device,
) -> npt.NDArray[np.float16]:
    """Features of the tiles' points; a batch that does not fit into memory is halved."""
    try:
        with torch.inference_mode():
            xy = [torch.from_numpy(tile.xy) for tile in tiles]
            features = torch.cat(features_at_points(backbone, image_batch(images, device), xy))
            # An infinite feature would poison every distance it takes part in.
            rounded = features.clamp(-_FLOAT16_MAX, _FLOAT16_MAX).half()
        return np.asarray(rounded.cpu().numpy())
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(tiles) == 1:
            way_out = "" if device.type == "cpu" else "the device cpu or "
            raise UserError(
                f"There is not enough memory on {device.type} for a tile; choose {way_out}a smaller"
                " field of view."
            ) from error
    # Here the error is gone, and with it the tensors that its traceback held.
    free_cached_memory(device)
    half = len(tiles) // 2
    parts = ((tiles[:half], images[:half]), (tiles[half:], images[half:]))
    return np.concatenate([_compute(backbone, *part, device) for part in parts])


def _refuse_outside(slide: Slide, points: npt.NDArray[np.float64]) -> None:
    beyond = (points < 0) | (points > (slide.width, slide.height))
    outside = int((beyond | ~np.isfinite(points)).any(axis=1).sum())
    if outside:
        raise UserError(
            f"{outside} of {len(points)} points lie outside {slide.name}, which is"
            f" {slide.width} x {slide.height} px; are they of this slide?"
        )
