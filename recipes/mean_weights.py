"""Averages the weights of two stages of a training (Izmailov et al., UAI 2018)."""

from __future__ import annotations

import dataclasses

import torch

from muse_core.models.muse_model import MuseModel


def mean_of_weights(start: MuseModel, end: MuseModel, share_of_end: float) -> MuseModel:
    """Return an average of two models, with the card of the final one.

    Args:
        start: The initial model.
        end: The same network after training; it is changed.
        share_of_end: Share of the final value in each weight.
    """
    first = start.state_dict()
    with torch.no_grad():
        for name, value in end.state_dict().items():
            before = (1 - share_of_end) * first[name].double()
            value.copy_(before + share_of_end * value.double())
    training = end.card.training | {
        "mean_of_weights_with": end.card.parent,
        "share_of_the_other": 1 - share_of_end,
    }
    # Figures of the final weights do not hold for the average.
    end.card = dataclasses.replace(end.card, metrics={}, training=training)
    return end
