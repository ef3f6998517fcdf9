"""Configuration of learning classes from corrections."""

from __future__ import annotations

from dataclasses import dataclass

from muse_core.errors import UserError
from muse_core.field_types import require_field_types

METHODS = ("logistic", "knn")


@dataclass(frozen=True)
class RelearnConfig:
    """Settings of a relearn; the defaults were chosen on CoNSeP alone (docs/benchmarks.md).

    Attributes:
        method: One of :data:`METHODS`.
        ridge: L2 penalty on the learnt weights of standardised features, per feature; a
            correction weighs 1.
        bias_ridge: L2 penalty on the learnt offset of each class.
        neighbours: Number of corrected nuclei that vote on each nucleus, for the method knn.
        prior_votes: Weight of the model's own probabilities against these votes.
        new_class_examples: Examples needed before a class that the model does not know is learnt.
        new_class_offset: Logit of such a class below the mean of the model's, before any example.
        region_um: Side of the squares within which corrections share their weight.
        region_power: 0: each correction weighs 1 however many lie in its square; 1: each square
            weighs 1.
        folds: Regions that the corrections are parted into for cross-validation.
    """

    method: str = "logistic"
    ridge: float = 0.25
    bias_ridge: float = 1.0
    neighbours: int = 15
    prior_votes: float = 2.0
    new_class_examples: int = 5
    new_class_offset: float = 1.0
    region_um: float = 50.0
    region_power: float = 0.5
    folds: int = 5

    def __post_init__(self) -> None:
        require_field_types(self)
        if self.method not in METHODS:
            raise UserError(f"Unknown method {self.method!r}; choose from {', '.join(METHODS)}.")
        positive = (self.ridge, self.bias_ridge, self.prior_votes, self.region_um)
        if not all(value > 0 for value in positive):
            raise UserError("ridge, bias_ridge, prior_votes and region_um must be positive.")
        if self.neighbours < 1 or self.new_class_examples < 1 or self.folds < 2:
            raise UserError("neighbours and new_class_examples are at least 1, folds at least 2.")
        if not 0 <= self.region_power <= 1:
            raise UserError("region_power must lie between 0 and 1.")
