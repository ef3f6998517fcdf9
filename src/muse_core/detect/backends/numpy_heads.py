"""Post-processing of the heads in numpy: what MuseModel.detections does, for converted models.

Nothing here loads torch. The functions are checked against those of muse_core.models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import erf, expit

from muse_core.detect.backends.backend import Wanted
from muse_core.detect.backends.map_features import Float32, MapFeatures, Values
from muse_core.models.duplicates import first_of_duplicates
from muse_core.models.numpy_weights import read_weights
from muse_core.models.tile_detections import TileDetections, within_margin

ANCHOR_STRIDE_PX = 4
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
        layers = [f"class_head.{layer}" for layer in ("hidden", "out")]
        names = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
        hidden, hidden_bias, out, out_bias = read_weights(path, names)
        return cls((hidden, hidden_bias), (out, out_bias))

    def probabilities(self, features: Float32) -> Float32:
        """(n, C) features to (n, K) class probabilities."""
        x = features @ self.hidden[0].T + self.hidden[1]
        x = 0.5 * x * (1 + erf(x / np.float32(np.sqrt(2))))
        logits = x @ self.out[0].T + self.out[1]
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class NumpyHeads:
    """Proposals and maps of one image to its nuclei.

    Attributes:
        features: Reads features from maps.
        class_weights: Of the class head.
        duplicate_radius_px: Nuclei nearer to each other than this are one.
    """

    features: MapFeatures
    class_weights: ClassWeights
    duplicate_radius_px: float

    def detections(
        self,
        maps: Sequence[Values],
        out: Float32,
        size_px: tuple[int, int],
        wanted: Wanted,
    ) -> TileDetections:
        """Nuclei of one image, best first; see MuseModel.detections.

        Args:
            maps: (C_i, h_i, w_i) each, see :meth:`MapFeatures.at_points`.
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
        sampled = self.features.at_points(maps, xy, size_px)
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
