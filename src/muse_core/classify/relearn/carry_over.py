"""Save the classes learnt on a slide as a model: the same network with a new class head.

The linear correction of the logits becomes an exact part of the head: because gelu(z) - gelu(-z)
= z, two more hidden units for each class represent it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from muse_core.classify.class_head import HEAD_TENSORS, NumpyClassHead
from muse_core.classify.relearn.learner import LearningResult
from muse_core.classify.relearn.logistic import LinearChange
from muse_core.classify.relearn.slide_learner import SlideLearner
from muse_core.errors import UserError
from muse_core.files import make_folder, replacing
from muse_core.models.card import METADATA_KEY, ModelCard, read_card
from muse_core.nuclei import ClassScheme


def save_relearned(
    learner: SlideLearner,
    result: LearningResult,
    model: Path,
    scheme: ClassScheme,
    out: Path,
    slide: str,
) -> Path:
    """Write a model that gives nuclei of any slide the classes that were learnt on this one.

    Args:
        learner: Of the slide.
        result: What was learnt.
        model: File of the model that the features are of.
        scheme: The slide's classes.
        out: File to write; its stem becomes the model's name.
        slide: Name of the slide, for the card.

    Returns:
        The file.

    Raises:
        UserError: Nothing was learnt yet, it was not by the linear method, classes of the model
            became one on the slide, or the file cannot be written.
    """
    if not result.n_examples:
        raise UserError("Nothing is learnt yet: correct or confirm a few nuclei first.")
    head = relearned_head(learner, result)
    try:
        tensors = load_file(model)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{model.name} is damaged: {error}.") from error
    values = (head.hidden_weight, head.hidden_bias, head.out_weight, head.out_bias)
    for name, value in zip(HEAD_TENSORS, values, strict=True):
        tensors[name] = value.astype(np.float16)
    card = _card(read_card(model), learner, result, scheme, slide, len(head.hidden_bias))
    card = replace(card, name=out.stem)
    make_folder(out.parent)
    with replacing(out) as partial:
        partial.write_bytes(save(tensors, metadata={METADATA_KEY: card.to_text()}))
    return out


def relearned_head(learner: SlideLearner, result: LearningResult) -> NumpyClassHead:
    """The class head that gives the taught classes as the learner would.

    Raises:
        UserError: It is not of the linear method, or classes of the model became one.
    """
    change = result.predictor.change
    if not isinstance(change, LinearChange):
        raise UserError("Only what is learnt by the linear method can be saved as a model.")
    old = learner.head
    kept = [(m, t) for m, t in enumerate(learner.targets) if t >= 0]
    if len({t for _, t in kept}) < len(kept):
        raise UserError(
            "Several classes of the model are one on this slide, which a class head cannot say;"
            " make a model by fine-tuning instead."
        )
    standard = result.predictor.standard
    raw = change.unscaled(standard.centre, standard.scale)
    rows = [m for m, _ in kept]
    start = old.out_weight[rows].mean(axis=0), old.out_bias[rows].mean()
    source = {t: m for m, t in kept}
    weights, biases = [], []
    for number in np.flatnonzero(result.predictor.taught).tolist():
        known = source.get(number)
        weights.append(start[0] if known is None else old.out_weight[known])
        offset = learner.config.new_class_offset
        biases.append(start[1] - offset if known is None else old.out_bias[known])
    n = len(weights)
    through = np.concatenate([np.eye(n), -np.eye(n)], axis=1)
    out = np.concatenate([np.stack(weights), through], axis=1) / result.predictor.temperature
    return NumpyClassHead(
        old.card,
        _float32(np.concatenate([old.hidden_weight, raw.weight.T, -raw.weight.T])),
        _float32(np.concatenate([old.hidden_bias, raw.bias, -raw.bias])),
        _float32(out),
        _float32(np.array(biases) / result.predictor.temperature),
    )


def _card(
    parent: ModelCard,
    learner: SlideLearner,
    result: LearningResult,
    scheme: ClassScheme,
    slide: str,
    hidden: int,
) -> ModelCard:
    taught = np.flatnonzero(result.predictor.taught).tolist()
    classes = ClassScheme(tuple(scheme.classes[i] for i in taught))
    head = {**parent.architecture["head"], "class_hidden_channels": hidden}
    return replace(
        parent,
        architecture={**parent.architecture, "head": head},
        classes=classes.to_json(),
        description=f"{parent.name} with classes learnt from corrections on {slide}.",
        training={
            **parent.training,
            "relearned": {
                "slide": slide,
                "examples": result.n_examples,
                "ridge": learner.config.ridge,
                "temperature": result.predictor.temperature,
            },
        },
        metrics={
            "agreement_on_corrections": result.agreement,
            "agreement_of_the_parent": result.agreement_before,
        },
        parent=parent.name,
        created=datetime.now(UTC).date().isoformat(),
    )


def _float32(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    return np.asarray(values, np.float32)
