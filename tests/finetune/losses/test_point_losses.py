from __future__ import annotations

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from muse_core.finetune.config import LossConfig
from muse_core.finetune.losses.point_losses import point_losses
from muse_core.models.heads import Proposals, anchor_grid, at_anchors

CONFIG = LossConfig(background=0.5, match_px=3.0)
# Two images of 8 by 8 pixels: anchors at (2, 2), (6, 2), (2, 6), (6, 6).
ANCHORS = anchor_grid(2, 2, torch.device("cpu"))
LOGIT = torch.tensor([[1.0, -1.0, 0.5, -2.0], [0.0, 0.3, -0.7, 2.0]])
XY = [torch.tensor([[6.0, 3.0], [2.0, 2.0]]), torch.tensor([[7.0, 6.0]])]
WEIGHTS = [torch.tensor([2.0, 1.0]), torch.tensor([3.0])]


def losses(known: torch.Tensor, anchor_weight: torch.Tensor | None = None) -> tuple[float, float]:
    proposals = Proposals(ANCHORS, ANCHORS.expand(2, -1, -1), LOGIT)
    regression, nucleus = point_losses(proposals, XY, WEIGHTS, known, CONFIG, anchor_weight)
    return float(regression), float(nucleus)


def test_by_hand() -> None:
    known = torch.tensor([[True, True, True, False], [False, False, False, True]])
    regression, nucleus = losses(known)
    # One pixel off in one direction is a quarter of a stride; the mean is over x and y.
    squared = [0.25**2 / 2, 0.0, 0.25**2 / 2]
    assert regression == pytest.approx((2 * squared[0] + squared[1] + 3 * squared[2]) / 6)

    def cross_entropy(image: int, anchor: int, target: float) -> float:
        return float(binary_cross_entropy_with_logits(LOGIT[image, anchor], torch.tensor(target)))

    matched = 2 * cross_entropy(0, 1, 1.0) + cross_entropy(0, 0, 1.0) + 3 * cross_entropy(1, 3, 1.0)
    background = 0.5 * cross_entropy(0, 2, 0.0)
    assert nucleus == pytest.approx((matched + background) / 3)


def test_anchors_that_match_nothing_count_as_said_and_the_others_by_their_nuclei() -> None:
    known = torch.tensor([[True, True, True, False], [False, False, False, True]])
    weight = torch.full((2, 4), 5.0)
    weight[0, 2] = 1.0
    assert losses(known, weight) == pytest.approx(losses(known))
    assert (weight[0, :2] == 5).all(), "what is given stays as it is"
    weight[0, 2] = 2.0
    background = 0.5 * float(binary_cross_entropy_with_logits(LOGIT[0, 2], torch.tensor(0.0))) / 3
    assert losses(known, weight)[1] - losses(known)[1] == pytest.approx(background)


def test_at_anchors_is_the_pixel_that_has_its_corner_there() -> None:
    pixels = torch.arange(2 * 8 * 12).view(2, 8, 12)
    x, y = anchor_grid(2, 3, torch.device("cpu")).long().T
    torch.testing.assert_close(at_anchors(pixels), pixels[:, y, x])
