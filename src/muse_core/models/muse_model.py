"""MuseModel: the backbone with its point head and class head, and the card that describes it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from muse_core.models.backbone import MuseBackbone
from muse_core.models.card import ModelCard
from muse_core.models.config import ModelConfig
from muse_core.models.duplicates import DUPLICATE_RADIUS_UM, first_of_duplicates
from muse_core.models.heads import ClassHead, PointHead, Proposals
from muse_core.models.tile_detections import TileDetections


class MuseModel(nn.Module):
    """Detects and classifies nuclei at the MPP its card names."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        config = ModelConfig.from_json(card.architecture)
        self.card = card
        self.backbone = MuseBackbone(config.backbone)
        self.point_head = PointHead(
            self.backbone.channels_of(config.head.n_maps),
            config.head,
            self.backbone.map_stride_px,
        )
        self.class_head = ClassHead(self.backbone.out_channels, len(card.classes), config.head)

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
    def predict(
        self, image: Tensor, min_score: float | None = None, features: bool = False
    ) -> list[TileDetections]:
        """Nuclei of each image, thresholded and free of duplicates, best first.

        Args:
            image: (B, 3, H, W) float, RGB in 0..1; H and W multiples of 16.
            min_score: Threshold on the nucleus probability; None takes the card's.
            features: Whether their features are wanted too.

        Returns:
            The nuclei of each image, in its pixels.
        """
        f_map, proposals = self(image)
        size = (image.shape[-2], image.shape[-1])
        return self.detections(f_map, proposals, size, min_score, features)

    @torch.inference_mode()
    def detections(
        self,
        f_map: Tensor,
        proposals: Proposals,
        size: tuple[int, int],
        min_score: float | None = None,
        features: bool = False,
    ) -> list[TileDetections]:
        """The part of :meth:`predict` that follows the network.

        Args:
            f_map: (B, C, h, w) features of the images.
            proposals: Of the point head.
            size: H and W of the images.
            min_score: Threshold on the nucleus probability; None takes the card's.
            features: Whether their features are wanted too.
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
            sampled = self.backbone.sample(f_map[b : b + 1], xy[None], size)[0]
            probs = self.class_head(sampled).float().softmax(dim=1)
            found.append(
                TileDetections(
                    xy.cpu().numpy(),
                    score.cpu().numpy(),
                    probs.cpu().numpy(),
                    sampled.half().cpu().numpy() if features else None,
                )
            )
        return found
