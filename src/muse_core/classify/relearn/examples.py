"""The nuclei whose class a person has settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from muse_core.errors import UserError
from muse_core.nuclei.table import ONE_PLACE_PX


@dataclass(frozen=True)
class Examples:
    """n nuclei to learn from.

    Attributes:
        rows: (n,) int64, their rows of features.
        classes: (n,) int64, index into the slide's classes.
        xy: (n, 2) float64, level-0 pixels.
    """

    rows: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    xy: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Examples:
        """Return the examples that a mask or indices select."""
        return Examples(self.rows[which], self.classes[which], self.xy[which])


@dataclass(frozen=True)
class Chosen:
    """The examples that can be learnt from, and notes on those that cannot.

    Attributes:
        examples: These.
        taught: (K,) bool, which classes a nucleus can get: the model's, and those that have enough
            examples.
        notes: Sentences for the user about the others.
    """

    examples: Examples
    taught: npt.NDArray[np.bool_]
    notes: tuple[str, ...]


def choose_examples(
    examples: Examples, class_names: Sequence[str], known: npt.NDArray[np.bool_], needed: int
) -> Chosen:
    """Leave out what contradicts itself, and classes of too few examples.

    Args:
        examples: All there are.
        class_names: K names of the slide's classes.
        known: (K,) which of them the model knows.
        needed: Examples that another class needs.

    Raises:
        UserError: All that are left are of one class, from which no border can be learnt.
    """
    notes = []
    contradicting = _contradictions(examples)
    if contradicting.any():
        notes.append(
            f"{contradicting.sum():,} corrected nuclei lie at the same place as another of another"
            " class; they were left out."
        )
        examples = examples.take(~contradicting)
    count = np.bincount(examples.classes, minlength=len(class_names))
    taught = known | (count >= needed)
    for index in np.flatnonzero(~taught & (count > 0)).tolist():
        notes.append(
            f"{class_names[index]} has {count[index]} of the {needed} examples that a class new to"
            " the model needs."
        )
    examples = examples.take(taught[examples.classes])
    present = np.unique(examples.classes)
    if len(present) == 1 and len(class_names) > 1:
        raise UserError(
            " ".join(
                [
                    f"All corrections so far are of class {class_names[present[0]]}; correct or"
                    " confirm nuclei of another class too, so that there is a difference to learn.",
                    *notes,
                ]
            )
        )
    return Chosen(examples, taught, tuple(notes))


def _contradictions(examples: Examples) -> npt.NDArray[np.bool_]:
    """(n,) which lie where one of another class lies."""
    against = np.zeros(len(examples), dtype=bool)
    if len(examples) < 2:
        return against
    pairs = cKDTree(examples.xy).query_pairs(ONE_PLACE_PX, output_type="ndarray")
    differ = examples.classes[pairs[:, 0]] != examples.classes[pairs[:, 1]]
    against[pairs[differ].ravel()] = True
    return against
