"""Self-distillation of whole views (DINO; L_image of the MUSE paper)."""

from __future__ import annotations

import torch
from torch import Tensor


def dino_loss(targets: Tensor, student: Tensor, student_temperature: float) -> Tensor:
    """Mean cross-entropy from teacher to student over all pairs of different views.

    Source: Caron et al., ICCV 2021, equation 3.

    Args:
        targets: (T, B, K) the teacher's probabilities for T views of B images, without gradient.
        student: (S, B, K) the student's outputs; its first T views are the teacher's.
        student_temperature: Divides the student's outputs.

    Returns:
        Scalar.

    Example:
        >>> t = torch.full((1, 1, 2), 0.5)
        >>> round(float(dino_loss(t, torch.zeros(2, 1, 2), 0.1)), 4)
        0.6931
    """
    log_probs = (student.to(targets.dtype) / student_temperature).log_softmax(dim=-1)
    # Entry (t, s): the cross-entropy from view t to view s, averaged over the images.
    crossed = -torch.einsum("tbk,sbk->ts", targets.detach(), log_probs) / targets.shape[1]
    same = torch.eye(*crossed.shape, dtype=torch.bool, device=crossed.device)
    return crossed[~same].mean()
