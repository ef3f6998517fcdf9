"""The model's own class probabilities, mapped to the classes of a slide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muse_core.classify.feature_folder import UNKNOWN
from muse_core.errors import UserError

_AHEAD = 1e-3
"""Least lead of the logit of the class that the model gave, which rounding may have lost."""


@dataclass(frozen=True)
class BaseLogits:
    """The model's logits of R nuclei in K classes of a slide.

    Attributes:
        values: (K, R) float32.
        known: (K,) which classes the model knows; for the others the values are only a start.
    """

    values: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]


def base_logits(
    logits: npt.NDArray[np.float32],
    given: npt.NDArray[np.uint8],
    target: Sequence[int],
    n_classes: int,
    new_class_offset: float,
) -> BaseLogits:
    """Bring a model's logits to a slide's classes.

    Args:
        logits: (R, M) of the model's classes.
        given: (R,) the class that the model gave, or :data:`UNKNOWN`. It is kept the likeliest
            class, although the features, and so the logits, are rounded.
        target: For each class of the model its index on the slide; several may become one, which
            then is as likely as the likeliest of them.
        n_classes: K.
        new_class_offset: Logit of a class that the model does not know, below the mean of its
            logits.

    Raises:
        UserError: None of the model's classes is on the slide.
    """
    known = np.zeros(n_classes, dtype=bool)
    kept = [(m, t) for m, t in enumerate(target) if t >= 0]
    if not kept:
        raise UserError("None of the model's classes is among those of this slide.")
    values = np.full((n_classes, len(logits)), -np.inf, np.float32)
    for m, t in kept:
        np.maximum(values[t], logits[:, m], out=values[t])
        known[t] = True
    _keep_given(values, known, given, np.asarray(target))
    start = logits[:, [m for m, _ in kept]].mean(axis=1) - np.float32(new_class_offset)
    values[~known] = start
    return BaseLogits(values, known)


def _keep_given(
    values: npt.NDArray[np.float32],
    known: npt.NDArray[np.bool_],
    given: npt.NDArray[np.uint8],
    target: npt.NDArray[np.int64],
) -> None:
    named = np.flatnonzero((given != UNKNOWN) & (given < len(target)))
    wanted = target[given[named]]
    named, wanted = named[wanted >= 0], wanted[wanted >= 0]
    top = values[known].max(axis=0)[named]
    behind = values[:, named].argmax(axis=0) != wanted
    values[wanted[behind], named[behind]] = top[behind] + np.float32(_AHEAD)


def class_targets(
    model_classes: Sequence[str],
    slide_classes: Sequence[str],
    class_map: Mapping[str, str],
    given: npt.NDArray[np.uint8],
    now: npt.NDArray[np.integer],
) -> tuple[list[int], list[str]]:
    """Return which class of the slide each class of a model becomes.

    Decided by ``class_map``, else by name, else by the class that most of its nuclei now have,
    because a person may have renamed or merged classes.

    Args:
        model_classes: M names.
        slide_classes: K names.
        class_map: Names on the slide, by the model's, of classes that are called otherwise.
        given: (n,) class that the model gave nuclei nobody has touched.
        now: (n,) class that they have.

    Returns:
        M indices into the slide's classes, -1 where there is none; and notes for the user.
    """
    index = {name: i for i, name in enumerate(slide_classes)}
    targets, notes = [], []
    for m, name in enumerate(model_classes):
        wanted = class_map.get(name, name)
        if wanted in index:
            targets.append(index[wanted])
            continue
        counts = np.bincount(now[given == m], minlength=len(slide_classes))
        if not counts.sum():
            targets.append(-1)
            continue
        targets.append(int(counts.argmax()))
        notes.append(f"The model's class {name} is {slide_classes[targets[-1]]} on this slide.")
    return targets, notes
