"""Random generators that depend on the step alone, so that a resumed run gives the same result."""

from __future__ import annotations

import torch

_SEED_STRIDE = 1_000_003


def seed_step(seed: int, step: int) -> torch.Generator:
    """Seed torch for a step.

    Args:
        seed: Of the run.
        step: Steps made before.

    Returns:
        A source of randomness of the step's own, on the CPU.
    """
    torch.manual_seed(seed * _SEED_STRIDE + step)
    return torch.Generator().manual_seed(seed * _SEED_STRIDE + step)
