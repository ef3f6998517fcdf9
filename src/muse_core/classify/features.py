"""Features of a slide's nuclei, tile by tile, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

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
from muse_core.slides.mpp import require_fine
from muse_core.slides.readable import ReadablePixels, read_readable
from muse_core.slides.reading_ahead import Ahead, read_ahead, usual_readers
from muse_core.slides.unreadable import Unreadable

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
        unread: (m,) int64, points that have no features: the slide cannot be read there.
        reason: Why; empty where all could be read.
    """

    rows: npt.NDArray[np.int64]
    features: npt.NDArray[np.float16]
    tiles_done: int
    tiles_total: int
    unread: npt.NDArray[np.int64]
    reason: str = ""


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
        (N, D) float16, in the order of the points; NaN where the slide cannot be read.

    Raises:
        UserError: The slide has no MPP, nothing of it can be read, a point lies outside it, or the
            field of view does not fit.
    """
    points = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    features = np.full((len(points), backbone.out_channels), np.nan, dtype=np.float16)
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
    """Like :func:`nucleus_features`, in chunks.

    Each point comes exactly once unless cancelled, among the rows or among the unread.

    Args:
        slide: An open slide with a known MPP.
        xy: (N, 2), level-0 pixels.
        backbone: The network.
        spec: Resolution and field of view.
        device: Where to compute; None is the CPU.
        should_cancel: Asked between batches of tiles.

    Raises:
        UserError: A point lies outside, the slide is so coarse that nuclei cannot be seen, or
            nothing can be read.
    """
    points = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    _refuse_outside(slide, points)
    require_fine(slide.require_mpp(), spec.mpp, slide.scale.notes)
    plan = plan_feature_tiles(points, spec.mpp / slide.require_mpp(), spec.fov_px)
    where = device or torch.device("cpu")
    backbone.to(where).eval()
    batch = min(spec.batch or _BATCH.get(where.type, 1), len(plan))
    require_batch_memory("tiles", batch, spec.fov_px**2, where.type)
    done = computed = 0
    for read in _batches(slide, plan, spec, batch, should_cancel or (lambda: False)):
        done += len(read)
        chunk = _chunk(backbone, read, points, where, (done, len(plan)))
        computed += len(chunk.rows)
        if done == len(plan) and not computed:
            raise UserError(chunk.reason)
        yield chunk


@dataclass
class FeatureTally:
    """Count of the points that have come in chunks.

    Attributes:
        done: Those with features.
        unread: Those without, where the slide cannot be read.
        reason: Why the first of these could not be read.
    """

    done: int = 0
    unread: int = 0
    reason: str = ""

    def add(self, chunk: FeatureChunk) -> None:
        """Count the points of a chunk."""
        self.done += len(chunk.rows)
        self.unread += len(chunk.unread)
        self.reason = self.reason or chunk.reason

    def is_cut_short(self, n_points: int) -> bool:
        """Whether a cancel has come before all points had."""
        return self.done + self.unread < n_points

    def note(self) -> str:
        """Return the sentence for the user about nuclei without features, "" if all have some."""
        if not self.unread:
            return ""
        what = "1 nucleus lies" if self.unread == 1 else f"{self.unread:,} nuclei lie"
        return f"{what} where the slide cannot be read: {self.reason}"


def _chunk(
    backbone: MuseBackbone,
    read: list[tuple[FeatureTile, ReadablePixels]],
    points: npt.NDArray[np.float64],
    device: torch.device,
    progress: tuple[int, int],
) -> FeatureChunk:
    """Features of the points of tiles that are read; progress is tiles done and in all."""
    tiles, images = [], []
    for tile, (image, unreadable) in read:
        seen = _seen(tile, points, unreadable)
        if image is not None and len(seen.rows):
            tiles.append(seen)
            images.append(image)
    none = np.zeros(0, dtype=np.int64)
    rows = np.concatenate([none, *(tile.rows for tile in tiles)])
    if tiles:
        features = _compute(backbone, tiles, images, device)
    else:
        features = np.zeros((0, backbone.out_channels), dtype=np.float16)
    unread = np.setdiff1d(np.concatenate([tile.rows for tile, _ in read]), rows)
    reasons = [place.reason for _, pixels in read for place in pixels.unreadable]
    return FeatureChunk(rows, features, *progress, unread, reasons[0] if len(unread) else "")


def _seen(
    tile: FeatureTile, points: npt.NDArray[np.float64], unreadable: tuple[Unreadable, ...]
) -> FeatureTile:
    """The tile with those of its points whose place could be read."""
    x, y = points[tile.rows].T
    seen = np.ones(len(tile.rows), dtype=bool)
    for place in unreadable:
        seen &= ~place.region.contains(x, y)
    return replace(tile, rows=tile.rows[seen], xy=tile.xy[seen])


def _batches(
    slide: Slide,
    plan: FeatureTiles,
    spec: FeatureSpec,
    batch: int,
    should_cancel: Callable[[], bool],
) -> Iterator[list[tuple[FeatureTile, ReadablePixels]]]:
    """Tiles with their pixels, in order; ends early on cancel."""
    return read_ahead(
        (plan[i] for i in range(len(plan))),
        lambda tile: read_readable(slide, tile.region, spec.mpp),
        Ahead(batch, usual_readers(slide)),
        should_cancel,
    )


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
