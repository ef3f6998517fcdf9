"""Averages the weights of stages of a training (Izmailov et al., UAI 2018)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch

from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel


def mean_of_weights(shares: Mapping[Path, float]) -> MuseModel:
    """Return a weighted average of models, with the card of the last one and all shares in it.

    Args:
        shares: Share of each model, in sum 1; all are the same network.
    """
    *others, (last, share) = shares.items()
    mean = load_model(last)
    states = [(load_model(path).state_dict(), part) for path, part in others]
    with torch.no_grad():
        for name, value in mean.state_dict().items():
            total = share * value.double()
            for state, part in states:
                total += part * state[name].double()
            value.copy_(total)
    told = {path.stem: part for path, part in shares.items()}
    # Figures of the final weights do not hold for the average.
    mean.card = dataclasses.replace(
        mean.card, metrics={}, training=mean.card.training | {"mean_of_weights": told}
    )
    return mean
