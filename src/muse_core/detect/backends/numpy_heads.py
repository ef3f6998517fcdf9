"""Post-processing of the heads in numpy: what MuseModel.detections does, for converted models.

Nothing here loads torch. The functions are checked against those of muse_core.models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import erf, expit

from muse_core.detect.backends.backend import Wanted
from muse_core.errors import UserError
from muse_core.models.duplicates import first_of_duplicates
from muse_core.models.tile_detections import TileDetections, within_margin

Float32 = npt.NDArray[np.float32]
_Values = npt.NDArray[np.float32] | npt.NDArray[np.uint16]
ANCHOR_STRIDE_PX = 4
_AT_ONCE = 64
"""Nuclei whose features are read at a time. So few fit into the processor's cache, and their arrays
are small enough for the allocator to reuse."""
# Wide enough that rounding in the sigmoid cannot lose a nucleus that lies on the threshold.
_LOGIT_MARGIN = 1e-3


@dataclass(frozen=True)
class ClassWeights:
    """The class head: two linear layers with a GELU between them.

    Attributes:
        hidden: (H, C) weight and (H,) bias.
        out: (K, H) weight and (K,) bias.
    """

    hidden: tuple[Float32, Float32]
    out: tuple[Float32, Float32]

    @classmethod
    def from_file(cls, path: Path) -> ClassWeights:
        """Read them from a model file; raises UserError when it is damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                read = {
                    layer: tuple(
                        file.get_tensor(f"class_head.{layer}.{kind}").astype(np.float32)
                        for kind in ("weight", "bias")
                    )
                    for layer in ("hidden", "out")
                }
        except (SafetensorError, OSError, KeyError) as error:
            raise UserError(f"{path.name} is damaged: {error}.") from error
        return cls(read["hidden"], read["out"])

    def probabilities(self, features: Float32) -> Float32:
        """(n, C) features to (n, K) class probabilities."""
        x = features @ self.hidden[0].T + self.hidden[1]
        x = 0.5 * x * (1 + erf(x / np.float32(np.sqrt(2))))
        logits = x @ self.out[0].T + self.out[1]
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class NumpyHeads:
    """Proposals and features of one image to its nuclei.

    Attributes:
        class_weights: Of the class head.
        align_corners: How features are read, ``sampling_align_corners`` of the backbone's config.
        duplicate_radius_px: Nuclei nearer to each other than this are one.
    """

    class_weights: ClassWeights
    align_corners: bool
    duplicate_radius_px: float

    def detections(
        self,
        f_map: _Values,
        out: Float32,
        size_px: tuple[int, int],
        wanted: Wanted,
    ) -> TileDetections:
        """Nuclei of one image, best first; see MuseModel.detections.

        Args:
            f_map: (C, h, w) features, float32, or the bits of bfloat16 as uint16.
            out: (3 r r, h, w) output of the point head, for r * r anchors in each cell.
            size_px: H and W of the image.
            wanted: Which nuclei to return. Those in the margin are left out before their features
                are read.
        """
        xy, score = proposals(out, wanted.min_score)
        order = np.argsort(-score, kind="stable")
        xy, score = xy[order], score[order]
        first = first_of_duplicates(xy, self.duplicate_radius_px)
        xy, score = xy[first], score[first]
        inside = within_margin(xy, size_px, wanted.margin_px)
        xy, score = xy[inside], score[inside]
        sampled = sample_numpy_at_points(f_map, xy, size_px, self.align_corners)
        probs = self.class_weights.probabilities(sampled)
        return TileDetections(
            xy, score, probs, sampled.astype(np.float16) if wanted.features else None
        )


def proposals(out: Float32, min_score: float) -> tuple[Float32, Float32]:
    """Positions and probabilities of the proposals at or above a threshold, row by row.

    Args:
        out: (3 r r, h, w): logits, then offsets in x and in y in cells of 4 px.
        min_score: The threshold.

    Returns:
        (n, 2) float32 pixels and (n,) float32.
    """
    per_cell = len(out) // 3
    side = round(per_cell**0.5)
    with np.errstate(divide="ignore"):
        low = np.log(np.float64(min_score)) - np.log1p(-np.float64(min_score)) - _LOGIT_MARGIN
    part, row, column = np.nonzero(out[:per_cell] >= low)
    score = expit(out[part, row, column].astype(np.float32))
    # Of a cell of r x r anchors, as torch's pixel_shuffle lays them out.
    rows, columns = row * side + part // side, column * side + part % side
    order = np.lexsort((columns, rows))
    order = order[score[order] >= np.float32(min_score)]
    part, row, column = part[order], row[order], column[order]
    dx, dy = out[per_cell + part, row, column], out[2 * per_cell + part, row, column]
    x = (columns[order] + np.float32(0.5) + dx) * ANCHOR_STRIDE_PX
    y = (rows[order] + np.float32(0.5) + dy) * ANCHOR_STRIDE_PX
    return np.stack([x, y], axis=1).astype(np.float32), score[order]


def sample_numpy_at_points(
    f_map: _Values,
    xy: Float32,
    size_px: tuple[int, int],
    align_corners: bool,
) -> Float32:
    """Features at points, bilinearly, those of the border outside.

    The twin of :func:`muse_core.models.sampling.sample_at_points`, of one image.

    Args:
        f_map: (C, h, w) float32, or the bits of bfloat16 as uint16.
        xy: (n, 2) float32, image pixels.
        size_px: Height and width of the image.
        align_corners: As there.

    Returns:
        (n, C) float32.
    """
    channels, rows, columns = f_map.shape
    flat = f_map.reshape(channels, rows * columns)
    corners = []
    for values, length, side in ((xy[:, 0], columns, size_px[1]), (xy[:, 1], rows, size_px[0])):
        at = values * np.float32(length / side) - np.float32(0.5)
        if align_corners:
            at = values * np.float32((length - 1) / side)
        at = at.clip(0, length - 1)
        low = np.floor(at).astype(np.int64)
        weight = (at - low).astype(np.float32)
        corners.append((low, np.minimum(low + 1, length - 1), weight))
    found = np.empty((len(xy), channels), np.float32)
    for start in range(0, len(xy), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        (x0, x1, wx), (y0, y1, wy) = ((low[part], high[part], w[part]) for low, high, w in corners)
        places = np.stack(
            [y0 * columns + x0, y0 * columns + x1, y1 * columns + x0, y1 * columns + x1]
        )
        # All corners in one pass through the channels.
        upper_left, upper_right, lower_left, lower_right = as_floats(
            flat.take(places, axis=1)
        ).transpose(1, 0, 2)
        upper = upper_left * (1 - wx) + upper_right * wx
        lower = lower_left * (1 - wx) + lower_right * wx
        found[part] = (upper * (1 - wy) + lower * wy).T
    return found


def as_floats(values: _Values) -> Float32:
    """Return values as 32 bits; those of 16 unsigned ones are bfloat16."""
    if values.dtype == np.uint16:
        # bfloat16 is the upper half of a float32.
        raised = values.astype(np.uint32)
        raised <<= 16
        return raised.view(np.float32)
    return np.asarray(values, dtype=np.float32)
