"""MuseModel: the backbone with its point head and class head, and the card that describes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree
from torch import Tensor, nn

from muse_core.models.backbone import MuseBackbone
from muse_core.models.card import ModelCard
from muse_core.models.config import ModelConfig
from muse_core.models.heads import ClassHead, PointHead, Proposals

# Two nuclei closer than this are one nucleus seen twice: a lymphocyte is about 6 um across.
DUPLICATE_RADIUS_UM = 2.0


@dataclass(frozen=True)
class Detections:
    """Nuclei of one image, best first.

    Attributes:
        xy: (n, 2) float32, input pixels, origin at the corner of the first pixel.
        score: (n,) float32, nucleus probability, 0 to 1.
        class_probs: (n, K) float32, probability of each class given a nucleus.
    """

    xy: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    class_probs: npt.NDArray[np.float32]


class MuseModel(nn.Module):
    """Detects and classifies nuclei at the MPP its card names."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        config = ModelConfig.from_json(card.architecture)
        self.card = card
        self.backbone = MuseBackbone(config.backbone)
        channels = self.backbone.out_channels
        self.point_head = PointHead(channels, config.head, self.backbone.map_stride_px)
        self.class_head = ClassHead(channels, len(card.classes), config.head)

    def forward(self, image: Tensor) -> tuple[Tensor, Proposals]:
        """Features and proposals.

        Args:
            image: (B, 3, H, W) float, RGB in 0..1; H and W multiples of 16.

        Returns:
            ``f_map`` (B, C, H/s, W/s) and the proposals.
        """
        f_map, _ = self.backbone(image)
        return f_map, self.point_head(f_map)

    @torch.inference_mode()
    def predict(self, image: Tensor, min_score: float | None = None) -> list[Detections]:
        """Nuclei of each image, thresholded and free of duplicates.

        Args:
            image: (B, 3, H, W) float, RGB in 0..1; H and W multiples of 16.
            min_score: Threshold on the nucleus probability; None takes the card's.

        Returns:
            One Detections for each image.
        """
        f_map, proposals = self(image)
        return self.detections(f_map, proposals, (image.shape[-2], image.shape[-1]), min_score)

    @torch.inference_mode()
    def detections(
        self,
        f_map: Tensor,
        proposals: Proposals,
        size: tuple[int, int],
        min_score: float | None = None,
    ) -> list[Detections]:
        """The part of :meth:`predict` that follows the network.

        Args:
            f_map: (B, C, h, w) features of the images.
            proposals: Of the point head.
            size: H and W of the images.
            min_score: Threshold on the nucleus probability; None takes the card's.
        """
        threshold = self.card.score_threshold if min_score is None else min_score
        scores = proposals.logit.sigmoid()
        found = []
        for b in range(len(f_map)):
            kept = scores[b] >= threshold
            xy, score = proposals.xy[b][kept], scores[b][kept]
            order = torch.argsort(score, descending=True, stable=True)
            xy, score = xy[order], score[order]
            first = torch.from_numpy(
                first_of_duplicates(xy.cpu().numpy(), DUPLICATE_RADIUS_UM / self.card.mpp)
            ).to(xy.device)
            xy, score = xy[first], score[first]
            probs = self._classify(f_map[b], xy, size)
            found.append(Detections(xy.cpu().numpy(), score.cpu().numpy(), probs.cpu().numpy()))
        return found

    def _classify(self, f_map: Tensor, xy: Tensor, size_px: tuple[int, int]) -> Tensor:
        features = self.backbone.sample(f_map.unsqueeze(0), xy.unsqueeze(0), size_px)[0]
        return self.class_head(features).float().softmax(dim=1)


def first_of_duplicates(xy: npt.NDArray[np.float32], radius_px: float) -> npt.NDArray[np.int64]:
    """Indices of the points that no better one lies within ``radius_px`` of, greedily.

    Args:
        xy: (n, 2), best first.
        radius_px: Distance up to which two points count as the same.

    Returns:
        (m,) sorted indices.
    """
    if len(xy) == 0:
        return np.zeros(0, dtype=np.int64)
    pairs = cKDTree(xy).query_pairs(radius_px, output_type="ndarray")
    kept = np.ones(len(xy), dtype=bool)
    # Sorted by the better of the two: when a pair is looked at, the better one's fate is settled.
    for better, worse in pairs[np.argsort(pairs[:, 0], kind="stable")]:
        if kept[better]:
            kept[worse] = False
    return np.flatnonzero(kept)
