"""The class head of a model file, computed with NumPy. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from muse_core.errors import UserError
from muse_core.files import FileRows
from muse_core.models.card import ModelCard, read_card
from muse_core.models.numpy_weights import read_weights

_BLOCK_ROWS = 8192
HEAD_TENSORS = (
    "class_head.hidden.weight",
    "class_head.hidden.bias",
    "class_head.out.weight",
    "class_head.out.bias",
)


@dataclass(frozen=True)
class NumpyClassHead:
    """Two linear layers with a GELU between, as :class:`muse_core.models.heads.ClassHead`.

    Attributes:
        card: The model's.
        hidden_weight: (H, C) float32.
        hidden_bias: (H,) float32.
        out_weight: (K, H) float32.
        out_bias: (K,) float32.
    """

    card: ModelCard
    hidden_weight: npt.NDArray[np.float32]
    hidden_bias: npt.NDArray[np.float32]
    out_weight: npt.NDArray[np.float32]
    out_bias: npt.NDArray[np.float32]

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return tuple(entry["name"] for entry in self.card.classes)

    @property
    def n_features(self) -> int:
        """C, the features it reads."""
        return int(self.hidden_weight.shape[1])

    def logits(
        self, features: npt.NDArray[np.floating] | FileRows, first: int = 0
    ) -> npt.NDArray[np.float32]:
        """(N, C) features, possibly on disk, to (N - first, K) logits of the rows from one on."""
        found = np.empty((len(features) - first, len(self.out_bias)), np.float32)
        for start in range(first, len(features), _BLOCK_ROWS):
            rows = np.asarray(features[start : start + _BLOCK_ROWS], np.float32)
            hidden = rows @ self.hidden_weight.T + self.hidden_bias
            hidden *= 0.5 * (1 + erf(hidden * np.float32(np.sqrt(0.5))))
            at = start - first
            found[at : at + len(rows)] = hidden @ self.out_weight.T + self.out_bias
        return found


def read_class_head(path: str | Path) -> NumpyClassHead:
    """Read the class head of a model file.

    Raises:
        UserError: The file is missing, is no detection model, or its head does not fit its card.
    """
    source = Path(path)
    card = read_card(source)
    card.require_detector()
    tensors = read_weights(source, HEAD_TENSORS)
    if not _fits(tensors, len(card.classes)):
        raise UserError(f"The weights in {source.name} do not fit the architecture in its card.")
    return NumpyClassHead(card, *tensors)


def _fits(tensors: Sequence[npt.NDArray[np.float32]], n_classes: int) -> bool:
    hidden, hidden_bias, out, out_bias = (t.shape for t in tensors)
    return (
        len(hidden) == 2
        and hidden_bias == hidden[:1]
        and out == (n_classes, hidden[0])
        and out_bias == (n_classes,)
    )
