"""NuLo: self-distillation of the same nucleus seen in two views.

Source: Yang et al., AAAI 2026, section "Nucleus-based local self-distillation". The average over
pairs of views instead of nuclei is this project's, so that crowded views do not dominate. With each
nucleus as a pair of its own it is the mean over nuclei.
"""

from __future__ import annotations

from torch import Tensor


def nulo_loss(
    targets: Tensor,
    student: Tensor,
    pair: Tensor,
    pair_size: Tensor,
    n_pairs: float,
    student_temperature: float,
) -> Tensor:
    """Cross-entropy from teacher to student over matched nuclei, averaged within pairs of views.

    Args:
        targets: (P, K) the teacher's probabilities of each matched nucleus, without gradient.
        student: (P, K) the student's outputs for the same nuclei in the other view.
        pair: (P,) int64, which pair of views each match is of, 0 to Q - 1.
        pair_size: (Q,) how many matches each pair has, at least 1.
        n_pairs: What the sum over pairs is divided by: Q, or with several processes the mean of
            their Q, so that the mean of their losses is that of all pairs together.
        student_temperature: Divides the student's outputs.

    Returns:
        Scalar; 0 with a gradient of 0 where nothing is matched.
    """
    log_probs = (student.to(targets.dtype) / student_temperature).log_softmax(dim=-1)
    each = -(targets.detach() * log_probs).sum(dim=-1)
    weight = 1.0 / pair_size.to(each)[pair]
    return (each * weight).sum() / max(n_pairs, 1.0)
