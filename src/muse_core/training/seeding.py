"""Random generators that depend on the step alone, so that a resumed run gives the same result."""

from __future__ import annotations

import torch

_SEED_STRIDE = 1_000_003
_SEEDS = 2**64
"""torch takes no larger seeds."""


def seed_step(seed: int, step: int) -> torch.Generator:
    """Seed torch for a step.

    Args:
        seed: Of the run.
        step: Steps made before.

    Returns:
        A source of randomness of the step's own, on the CPU.
    """
    own = (seed * _SEED_STRIDE + step) % _SEEDS
    torch.manual_seed(own)
    return torch.Generator().manual_seed(own)
