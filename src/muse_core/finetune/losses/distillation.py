"""L_distil: agreement with a larger model, the teacher, on every pixel of a crop.

The student answers for an altered view what the teacher answers for the unaltered one: whether
there is a nucleus at each anchor, where, and of which class. Unlike annotations these answers are
probabilities, and there is one for each pixel, annotated or not. Sources: Hinton et al.,
"Distilling the knowledge in a neural network", 2015; for proposals, Chen et al., "Learning
efficient object detection models with knowledge distillation", NeurIPS 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from muse_core.finetune.config import LossConfig
from muse_core.finetune.losses.consistency import best_of_each_nucleus
from muse_core.models.backbone import STRIDE_PX
from muse_core.models.heads import Proposals
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import features_by_image


@dataclass(frozen=True)
class TeacherAnswer:
    """What a teacher says of B images with N anchors each, and of the P nuclei it finds in them.

    Attributes:
        score: (B, N) float32, nucleus probability of each proposal.
        xy: (B, N, 2) float32, positions of the proposals, pixels.
        image: (P,) int64, the image of each nucleus, in ascending order.
        nucleus_xy: (P, 2) float32, pixels.
        class_probs: (P, K) float32.
    """

    score: Tensor
    xy: Tensor
    image: Tensor
    nucleus_xy: Tensor
    class_probs: Tensor


@torch.no_grad()
def teacher_answer(teacher: MuseModel, image: Tensor, min_score: float) -> TeacherAnswer:
    """Ask a teacher.

    Args:
        teacher: In evaluation mode.
        image: (B, 3, H, W) views as they are cut out, RGB in 0..1.
        min_score: Score from which a proposal is a nucleus whose class is told.
    """
    f_map, proposals = teacher(image)
    score = proposals.logit.sigmoid()
    chosen = best_of_each_nucleus(proposals, score, score >= min_score, teacher.card.mpp)
    of, proposal = chosen.nonzero(as_tuple=True)
    xy = proposals.xy[of, proposal]
    size = (image.shape[-2], image.shape[-1])
    features = torch.cat(features_by_image(teacher.backbone, f_map, of, xy, size))
    probs = teacher.class_head(features).float().softmax(dim=1)
    return TeacherAnswer(score.float(), proposals.xy.float(), of, xy, probs)


def distillation_loss(
    proposals: Proposals, class_logits: Tensor, answer: TeacherAnswer, config: LossConfig
) -> Tensor:
    """Return the loss of a student against its teacher, zero where it says the same.

    Args:
        proposals: The student's, for B images with N anchors each.
        class_logits: (P, K), the student's at the teacher's nuclei.
        answer: The teacher's.
        config: Weights of the parts, as for annotations.

    Returns:
        Scalar.
    """
    score = answer.score
    n_nuclei = score.sum().clamp_min(1.0)
    each = functional.binary_cross_entropy_with_logits(
        proposals.logit.float(), score, reduction="none"
    ) - (torch.special.entr(score) + torch.special.entr(1 - score))
    nucleus = (each * (score + config.background * (1 - score))).sum() / n_nuclei
    moved = ((proposals.xy.float() - answer.xy) / STRIDE_PX).square().mean(dim=2)
    regression = (moved * score).sum() / n_nuclei
    classes = functional.kl_div(
        class_logits.float().log_softmax(dim=1), answer.class_probs, reduction="sum"
    ) / max(1, len(class_logits))
    loss: Tensor = (
        config.nucleus * nucleus + config.regression * regression + config.classes * classes
    )
    return loss
