"""Settings of the probing protocol; the defaults are the authors'. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from muse_core.errors import UserError
from muse_core.field_types import require_field_types

_SEEDS = 2**63
PROTOCOLS = ("knn", "linear", "finetune")


@dataclass(frozen=True)
class ProbeConfig:
    """Settings of the evaluation of frozen features.

    Attributes:
        protocol: One of :data:`PROTOCOLS`.
        fov_px: Side of the tiles, 224 or 512.
        neighbours: Numbers of neighbours to try; the best counts, as in the paper.
        temperature: T of the votes' weights exp(similarity / T).
        linear_epochs: Passes over the training nuclei.
        linear_batch: Nuclei in a step.
        linear_rate: Learning rate of SGD at its start.
        finetune_epochs: Passes over the training tiles.
        finetune_batch: Tiles in a step.
        finetune_rate: Learning rate of AdamW at its start; the authors take 4e-5 for ResNets.
        seed: Of everything random.
    """

    protocol: str = "linear"
    fov_px: int = 224
    neighbours: tuple[int, ...] = (10, 20, 100, 200, 500)
    temperature: float = 0.07
    linear_epochs: int = 100
    linear_batch: int = 256
    linear_rate: float = 0.01
    finetune_epochs: int = 10
    finetune_batch: int = 32
    finetune_rate: float = 1e-5
    seed: int = 0

    def __post_init__(self) -> None:
        require_field_types(self)
        if self.protocol not in PROTOCOLS:
            raise UserError(
                f"Unknown protocol {self.protocol!r}; choose from {', '.join(PROTOCOLS)}."
            )
        whole = (self.linear_epochs, self.linear_batch, self.finetune_epochs, self.finetune_batch)
        if min(*whole, *self.neighbours) < 1:
            raise UserError("Epochs, batches and numbers of neighbours are at least 1.")
        rates = (self.linear_rate, self.finetune_rate)
        if not all(0 < value <= 1 for value in (self.temperature, *rates)):
            raise UserError("The temperature and the learning rates lie above 0 and up to 1.")
        if not 0 <= self.seed < _SEEDS:
            raise UserError(f"The seed is at least 0 and below {_SEEDS:,}.")
