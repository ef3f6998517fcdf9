"""State of a run, in memory and on disk, for both modes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from muse_core.errors import UserError
from muse_core.finetune.config import FinetuneConfig
from muse_core.finetune.describe import identity
from muse_core.finetune.record import checkpoint_path
from muse_core.finetune.result import ValidationFigures
from muse_core.training.run_state import load_own_run, restoring, save_run


class Stateful(Protocol):
    """Object with a state that can be saved and restored: network, optimiser, schedule."""

    def state_dict(self) -> dict[str, Any]:
        """The state."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Take over a state."""


@dataclass
class TrainState:
    """Progress of a run that a checkpoint keeps.

    Attributes:
        step: Steps made.
        recent_loss: Moving average of the loss.
        best: Figures of the weights that are kept; empty before the first validation.
        top: The highest quality seen, which need not be that of ``best``.
    """

    step: int = 0
    recent_loss: float = 0.0
    best: ValidationFigures = field(default_factory=ValidationFigures)
    top: float = 0.0

    def count(self, loss: float, share: float) -> None:
        """Count a step; its loss enters the moving average with a share of 0 to 1."""
        self.step += 1
        if self.step == 1:
            self.recent_loss = loss
        else:
            self.recent_loss = (1 - share) * self.recent_loss + share * loss

    def figures(self) -> ValidationFigures:
        """Figures of every validation."""
        return {"step": self.step, "loss": round(self.recent_loss, 4)}

    def keep(self, figures: ValidationFigures, tolerance: float = 0.0) -> bool:
        """Whether weights of these figures are to be kept in place of the best so far.

        Args:
            figures: Of a validation; without "quality", later weights are better.
            tolerance: By how much the quality may be below the highest seen.
        """
        quality = figures.get("quality", 1.0)
        self.top = max(self.top, quality)
        if quality < self.top - tolerance:
            return False
        self.best = figures
        return True

    def to_json(self) -> dict[str, object]:
        """Numbers and text; the inverse of :meth:`from_json`."""
        return vars(self) | {"best": json.dumps(self.best)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainState:
        """Rebuild from :meth:`to_json`."""
        return cls(
            int(data["step"]),
            float(data["recent_loss"]),
            json.loads(data["best"]),
            float(data["top"]),
        )


@dataclass(frozen=True)
class Checkpoint:
    """The file that a run is resumed from.

    Attributes:
        path: The file; None keeps nothing.
        identity: Identity of the run; a file with another one is refused.
        parts: Network, optimiser and the like, by names that the TrainState does not use.
        model: The file of the best weights so far.
    """

    path: Path | None
    identity: str
    parts: Mapping[str, Stateful]
    model: Path

    def save(self, state: TrainState) -> None:
        """Write all that the run needs to be resumed."""
        if self.path is None:
            return
        states = {name: part.state_dict() for name, part in self.parts.items()}
        save_run(self.identity, {**state.to_json(), **states}, self.path)

    def load(self) -> TrainState:
        """Restore the parts and the progress; without a file nothing changes.

        Raises:
            UserError: The file is damaged, or of another run, or the best weights are gone.
        """
        state = None if self.path is None else load_own_run(self.identity, self.path)
        if self.path is None or state is None:
            return TrainState()
        with restoring(self.path):
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
            progress = TrainState.from_json(state)
        if progress.best and not self.model.is_file():
            raise UserError(
                f"The best weights so far, {self.model}, are no longer there; put the file back, or"
                " start anew with --restart."
            )
        return progress

    def remove(self) -> None:
        """Remove the file; the run is over."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def checkpoint_of(
    config: FinetuneConfig, data_digest: str, parts: Mapping[str, Stateful]
) -> Checkpoint:
    """The checkpoint of a run, beside its model."""
    path = checkpoint_path(config.out) if config.resumable else None
    return Checkpoint(path, identity(config, data_digest), parts, config.out)


def require_finite(loss: torch.Tensor, step: int) -> float:
    """The loss of a step as a number.

    Raises:
        UserError: It is infinite or no number.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        raise UserError(
            f"The loss is no longer a number at step {step + 1}; what was best before is kept. Try"
            " a lower learning rate."
        )
    return value
