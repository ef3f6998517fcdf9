"""Relearning the classes of a store in one call."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from muse_core.classify.class_head import read_class_head
from muse_core.classify.feature_folder import FeatureFolder, features_beside, find_features
from muse_core.classify.relearn.carry_over import save_relearned
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.slide_learner import (
    SlideLearner,
    SlideNuclei,
    moves,
    named_moves,
)
from muse_core.errors import UserError
from muse_core.files import sha256_of
from muse_core.models.card import check_model_target
from muse_core.models.registry import list_models, resolve_model
from muse_core.nuclei import Status
from muse_core.nuclei.counted import counted, counted_nuclei
from muse_core.nuclei.outlines import inside_any
from muse_core.nuclei.store import AnnotationStore, NucleusRows


@dataclass(frozen=True)
class Relearned:
    """Result of relearning a store.

    Attributes:
        nuclei: Nuclei whose class was looked at.
        examples: Nuclei it was learnt from.
        changed: Nuclei that have another class than before.
        moved: How many, by the class before and the class after.
        agreement: Share of the examples that get their class from those of other regions; None
            where there are too few.
        agreement_before: The same of the model itself.
        seconds: Without opening.
        notes: Sentences for the user.
    """

    nuclei: int
    examples: int
    changed: int
    moved: Mapping[tuple[str, str], int]
    agreement: float | None
    agreement_before: float | None
    seconds: float
    notes: tuple[str, ...]


def relearn(
    store: AnnotationStore | str | Path,
    model: str | Path | None = None,
    *,
    config: RelearnConfig | None = None,
    class_map: Mapping[str, str] | None = None,
    features: str | Path | None = None,
    save_model: str | Path | None = None,
) -> Relearned:
    """Learn the classes of a slide's nuclei from those that a person has corrected or confirmed.

    Settled nuclei keep their classes; all others with features get the predicted class, in one edit
    that can be undone. The features are those that detection has kept beside the store.

    Args:
        store: An open store, or its file.
        model: The model that the features are of, by name or file; None finds it among those on
            this machine.
        config: How it is learnt, such as ``RelearnConfig(method="knn")``; by default logistic.
        class_map: Names on the slide, by the model's, of classes that are called otherwise.
        features: Folder of the features, as ``muse detect --features`` writes it; None is beside
            the store.
        save_model: File to write what was learnt to, as a model for other slides.

    Raises:
        UserError: There are no features, or they are of another slide or model; all corrections are
            of one class; the store cannot be written.
    """
    settings = config or RelearnConfig()
    if isinstance(store, AnnotationStore):
        return _relearn(store, _Wanted(model, class_map or {}, settings, features, save_model))
    with AnnotationStore.open(store) as opened:
        return _relearn(opened, _Wanted(model, class_map or {}, settings, features, save_model))


def nuclei_of(store: AnnotationStore) -> SlideNuclei:
    """The nuclei of a store as a learner wants them; raises UserError where it is damaged."""
    rows = store.rows()
    numbers = np.asarray(list(store.class_ids.values()))
    order = np.argsort(numbers)
    classes = order[np.searchsorted(numbers, rows["class_id"], sorter=order)]
    return slide_nuclei(rows, classes, store.reviewed_areas())


def slide_nuclei(
    rows: NucleusRows, classes: npt.NDArray[np.integer], reviewed: Sequence[BaseGeometry]
) -> SlideNuclei:
    """The nuclei in rows of a store that are not deleted, and which of them are settled.

    Args:
        rows: (N,) of NUCLEUS_ROW.
        classes: (N,) index into the slide's classes.
        reviewed: Reviewed areas of the slide, level-0 pixels.
    """
    there = rows["status"] != Status.DELETED
    found = rows[there]
    settled = found["status"] != Status.PREDICTED
    settled |= inside_any(reviewed, found["x"], found["y"])
    xy = np.stack([found["x"], found["y"]], axis=1)
    return SlideNuclei(found["id"].copy(), xy, classes[there].astype(np.int64), settled)


def model_file(features: FeatureFolder, model: str | Path | None = None) -> Path:
    """The file of the model that features are of.

    Raises:
        UserError: That model is not on this machine, or the given one is another.
    """
    wanted = features.facts.model_sha256
    if model is not None:
        path = resolve_model(model)
        if sha256_of(path) != wanted:
            raise UserError(
                f"The features are of another model than {path.stem}: of {features.facts.model}."
            )
        return path
    for entry in list_models():
        if sha256_of(entry.path) == wanted:
            return entry.path
    raise UserError(
        f"The features are of the model {features.facts.model}, which is not on this machine as it"
        " was then; detect again with features, or name its file."
    )


@dataclass(frozen=True)
class _Wanted:
    model: str | Path | None
    class_map: Mapping[str, str]
    config: RelearnConfig
    features: str | Path | None
    save_model: str | Path | None


def _relearn(store: AnnotationStore, wanted: _Wanted) -> Relearned:
    store.require_writable()
    model = wanted.model
    digest = "" if model is None else sha256_of(resolve_model(model))
    root = features_beside(store.path) if wanted.features is None else Path(wanted.features)
    folder = find_features(root, store.slide, digest)
    path = model_file(folder, model)
    out = None if wanted.save_model is None else check_model_target(wanted.save_model, path)
    head = read_class_head(path)
    names = store.classes.names
    nuclei = nuclei_of(store)
    learner = SlideLearner(
        folder, head, names, nuclei, class_map=wanted.class_map, config=wanted.config
    )
    begin = time.perf_counter()
    result = learner.learn(nuclei)
    if out is not None:
        save_relearned(learner, result, path, store.classes, out, store.slide.name)
    found = learner.relabel(result, nuclei)
    assert found is not None  # nobody asks it to stop
    numbers = np.asarray(list(store.class_ids.values()))
    store.apply_predictions(
        nuclei.ids[found.at],
        numbers[found.classes],
        found.probabilities,
        model=relearned_name(head.card.name),
    )
    moved = moves(nuclei.classes[found.at], found.classes, len(names))
    without = len(nuclei) - len(found.at)
    return Relearned(
        nuclei=len(found.at),
        examples=result.n_examples,
        changed=int(moved.sum() - np.trace(moved)),
        moved=named_moves(moved, names),
        agreement=result.agreement,
        agreement_before=result.agreement_before,
        seconds=time.perf_counter() - begin,
        notes=(*learner.notes, *result.notes, *_missing(without)),
    )


def relearned_name(model: str) -> str:
    """Return the name of the classifier in a store."""
    return f"{model} + corrections"


def summary(done: Relearned) -> str:
    """A sentence or two about what was learnt."""
    if not done.examples:
        changed = counted_nuclei(done.changed)
        return f"Nothing is corrected yet: {changed} got the model's own class."
    changed = counted(done.changed, "other", "others")
    learnt = f"Learnt from {counted_nuclei(done.examples)}; {changed} changed class."
    if done.agreement is None or done.agreement_before is None:
        return learnt
    return (
        f"{learnt} Agreement on corrections left out: {done.agreement:.0%}, the model alone"
        f" {done.agreement_before:.0%}."
    )


def _missing(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    what = counted(count, "nucleus has", "nuclei have")
    return (f"{what} no features and kept what was there.",)
