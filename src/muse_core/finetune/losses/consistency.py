"""L_cons: consistency with the teacher's confident predictions in tissue without annotations.

Source: Yang et al., "MUSE", AAAI 2026, section "Fine-tuning": the model's own confident predictions
are pseudo-labels, and a strongly altered view is asked to agree. The teacher is a moving average of
the student and sees the unaltered view of the same pixels, so that proposals correspond one to one.
How sure of a class it must be depends on how sure it is of that class on average (Wang et al.,
"FreeMatch", ICLR 2023), so that rare classes get pseudo-labels as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from muse_core.finetune.config import ConsistencyConfig
from muse_core.finetune.losses.elementary import class_loss, nucleus_loss, regression_loss
from muse_core.models.backbone import STRIDE_PX
from muse_core.models.duplicates import DUPLICATE_RADIUS_UM, first_of_duplicates
from muse_core.models.heads import Proposals
from muse_core.models.muse_model import MuseModel
from muse_core.models.point_features import features_by_image

_BACKGROUND_PER_NUCLEUS = 64.0
"""Background proposals per nucleus, about as many as in annotated tissue; if there are more, each
weighs less. A teacher that starts from random weights becomes sure of background first, and would
otherwise teach the student, and through it itself, that there are no nuclei."""


@dataclass(frozen=True)
class PseudoLabels:
    """Pseudo-labels that the teacher is sure of: P nuclei in B images of N anchors each.

    Attributes:
        nucleus: (B, N) bool, one proposal of each nucleus.
        background: (B, N) bool.
        image: (P,) int64.
        proposal: (P,) int64.
        xy: (P, 2) float32, pixels.
        classes: (P,) int64.
        class_sure: (P,) bool, whether the class counts.
    """

    nucleus: Tensor
    background: Tensor
    image: Tensor
    proposal: Tensor
    xy: Tensor
    classes: Tensor
    class_sure: Tensor


class ClassThresholds(nn.Module):
    """Confidence threshold for each class, adapted to the teacher's predictions so far.

    Probabilities of classes that the teacher predicts more often than they are annotated are
    lowered, those of the others raised (distribution alignment; Berthelot et al., "ReMixMatch",
    ICLR 2020); without it, self-training loses the classes it finds hard. Classes that the teacher
    is less sure of on average have a lower threshold (FreeMatch, as above).
    """

    def __init__(self, counts: Tensor, config: ConsistencyConfig) -> None:
        """Initialise frequencies with those of the annotations, and mean confidences with 1.

        Args:
            counts: (K,) annotated nuclei of each class.
            config: Settings.
        """
        super().__init__()
        self._config = config
        self.prior: Tensor
        self.frequency: Tensor
        self.mean: Tensor
        self.updates: Tensor
        prior = counts.float() / counts.sum().clamp_min(1)
        self.register_buffer("prior", prior, persistent=False)
        self.register_buffer("frequency", prior.clone())
        self.register_buffer("mean", torch.ones(len(counts)))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    @property
    def thresholds(self) -> Tensor:
        """(K,) from ``class_floor`` to ``class_confidence``."""
        relative = self.mean / self.mean.max().clamp_min(1e-6)
        return (self._config.class_confidence * relative).clamp_min(self._config.class_floor)

    def align(self, probs: Tensor) -> Tensor:
        """(P, K) class probabilities, with classes about as frequent as they are annotated."""
        most = self._config.class_alignment
        factor = (self.prior / self.frequency.clamp_min(1e-6)).clamp(1 / most, most)
        # The frequency of a class without annotated nuclei is unknown.
        aligned = probs * torch.where(self.prior > 0, factor, 1.0)
        return aligned / aligned.sum(dim=1, keepdim=True)

    @torch.no_grad()
    def update(self, probs: Tensor) -> None:
        """Update the means with the teacher's (P, K) class probabilities, before alignment."""
        if not len(probs):
            return
        n = int(self.updates)
        momentum = min(self._config.momentum, (1 + n) / (10 + n))
        self.updates += 1
        self.frequency.lerp_(probs.mean(dim=0), 1 - momentum)
        best, classes = self.align(probs).max(dim=1)
        for k in range(len(self.mean)):
            of_class = best[classes == k]
            if len(of_class):
                self.mean[k] = momentum * self.mean[k] + (1 - momentum) * of_class.mean()


@torch.no_grad()
def pseudo_labels(
    teacher: MuseModel,
    image: Tensor,
    free: Tensor,
    thresholds: ClassThresholds,
    config: ConsistencyConfig,
) -> PseudoLabels:
    """Return the teacher's confident predictions as pseudo-labels.

    Args:
        teacher: In evaluation mode.
        image: (B, 3, H, W) weakly altered views.
        free: (B, N) bool, anchors over tissue without annotations.
        thresholds: Class thresholds; updated with the teacher's probabilities.
        config: Confidence of nucleus and background.
    """
    f_map, proposals = teacher(image)
    scores = proposals.logit.sigmoid()
    likely = (scores >= config.nucleus_confidence) & free
    chosen = best_of_each_nucleus(proposals, scores, likely, teacher.card.mpp)
    of, proposal = chosen.nonzero(as_tuple=True)
    xy = proposals.xy[of, proposal]
    size = (image.shape[-2], image.shape[-1])
    features = features_by_image(teacher.backbone, f_map, of, xy, size)
    logits = torch.cat([teacher.class_head(part) for part in features])
    probs = logits.float().softmax(dim=1)
    thresholds.update(probs)
    best, classes = thresholds.align(probs).max(dim=1)
    return PseudoLabels(
        nucleus=chosen,
        background=(scores <= config.background_confidence) & free,
        image=of,
        proposal=proposal,
        xy=xy,
        classes=classes,
        class_sure=best >= thresholds.thresholds[classes],
    )


def consistency_loss(
    proposals: Proposals,
    class_logits: Tensor,
    pseudo: PseudoLabels,
    class_weight: Tensor,
    background: float,
) -> Tensor:
    """Return the loss of the student against the teacher's pseudo-labels.

    Args:
        proposals: The student's, of the strongly altered views.
        class_logits: (P, K), the student's class logits at the teacher's nuclei.
        pseudo: The teacher's.
        class_weight: (K,) weight of each class.
        background: Weight of a background proposal against that of a nucleus.

    Returns:
        Scalar.
    """
    sure = pseudo.nucleus | pseudo.background
    least_nuclei = max(1.0, float(pseudo.background.sum()) / _BACKGROUND_PER_NUCLEUS)
    nucleus = nucleus_loss(
        proposals.logit, pseudo.nucleus, sure, background, least_nuclei=least_nuclei
    )
    regression = regression_loss(proposals.xy[pseudo.image, pseudo.proposal], pseudo.xy, STRIDE_PX)
    classes = class_loss(
        class_logits[pseudo.class_sure], pseudo.classes[pseudo.class_sure], class_weight, 0.0
    )
    return nucleus + regression + classes


def ramp(step: int, config: ConsistencyConfig, steps: int) -> float:
    """Weight of L_cons at a step: 0 at first, then rising as exp(-5 (1 - t)^2), then constant.

    Source: Laine and Aila, "Temporal ensembling", ICLR 2017; burn-in on labels alone: Liu et al.,
    "Unbiased Teacher", ICLR 2021.
    """
    since = step - config.burn_in_share * steps
    if since < 0:
        return 0.0
    t = min(1.0, since / max(1.0, config.ramp_share * steps))
    return config.weight * math.exp(-5 * (1 - t) ** 2)


def best_of_each_nucleus(
    proposals: Proposals, scores: Tensor, likely: Tensor, mpp: float
) -> Tensor:
    """Choose one proposal of each nucleus.

    Args:
        proposals: Of B images with N anchors each.
        scores: (B, N), their nucleus probabilities.
        likely: (B, N) bool, those to choose from.
        mpp: Microns per pixel.

    Returns:
        (B, N) bool, of the likely proposals the best one of each nucleus.
    """
    chosen = torch.zeros_like(likely)
    for b in range(len(likely)):
        here = likely[b].nonzero()[:, 0]
        here = here[scores[b, here].argsort(descending=True, stable=True)]
        xy = proposals.xy[b, here].float().cpu().numpy()
        first = first_of_duplicates(xy.astype(np.float32), DUPLICATE_RADIUS_UM / mpp)
        chosen[b, here[torch.from_numpy(first).to(here.device)]] = True
    return chosen
