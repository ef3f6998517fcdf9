"""Configuration of the recipe of muse-small-breast, as hospitals and sets are left out of it."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import muse_small
import muse_small_breast
from label_sets import BREAST, MPP, Prepared
from small_encoder import ARCHITECTURE

from muse_core.finetune import FinetuneConfig


def earlier_config(
    prepared: Prepared,
    data: Path,
    stage: muse_small.Stage,
    without_sites: Collection[str] = (),
    colon: bool = True,
) -> FinetuneConfig:
    """Configuration of muse_small_breast.py from random weights.

    Args:
        prepared: The sets at the model's scale.
        data: Folder with the sets.
        stage: Length, seed and output path.
        without_sites: Hospitals to leave out.
        colon: Whether positions of CoNSeP are learnt.
    """
    breast = prepared.split(BREAST, without_sites).learn
    negatives = prepared.folder("negatives")
    return FinetuneConfig(
        train=muse_small_breast.training_sets(data, negatives, MPP, breast, colon),
        val=prepared.validation(without_sites),
        out=stage.out,
        model=ARCHITECTURE,
        steps=stage.steps,
        validate_every=250,
        seed=stage.seed,
        workers=stage.workers,
        views=muse_small_breast.VIEWS,
        losses=muse_small_breast.LOSSES,
        shards=2,
    )
