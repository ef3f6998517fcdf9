"""Time from a correction to the classes of a million nuclei in the store.

    python benchmarks/relearn.py

A million nuclei with the features of a bundled model in float16, in files, its classes and a
new one, 50 corrections. Their features are opened in three states: without stored logits, as left
by a detection, and the latter with nothing in the system's page cache. In each of 20 runs there is
one more correction; timed from there: learning with cross-validation and the 5,000 nuclei in view;
the classes of all; writing these to the store. Reported are wall-clock time, and CPU time, which
is about what it would be on idle cores.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from muse_core.classify.class_head import NumpyClassHead, read_class_head
from muse_core.classify.feature_folder import FeatureFacts, append_features, find_features
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.slide_learner import SlideLearner, SlideNuclei
from muse_core.files import sha256_of, tree
from muse_core.models.registry import resolve_model
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, SlideIdentity

_SLIDE = SlideIdentity("slide.svs", 1, "f" * 64)
_BLOCK = 50_000
_STEPS = ("view", "all", "store")


def write_features(root: Path, xy: np.ndarray, head: NumpyClassHead, model: Path) -> None:
    """Features around three centres, generated in blocks so that they never fill the memory."""
    facts = FeatureFacts(
        head.card.name, sha256_of(model), head.class_names, head.n_features,
        _SLIDE.size_bytes, _SLIDE.fingerprint, 0.5,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((3, head.n_features))
    for start in range(0, len(xy), _BLOCK):
        part = xy[start : start + _BLOCK]
        kinds = rng.integers(3, size=len(part))
        drawn = rng.standard_normal((len(part), head.n_features), np.float32) + centres[kinds]
        append_features(root, facts, part, drawn)


def forget(root: Path) -> None:
    """Have the system drop its page cache of files."""
    for path in tree(root):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def make_store(path: Path, xy: np.ndarray, names: tuple[str, ...]) -> AnnotationStore:
    """A store of nuclei of one class."""
    store = AnnotationStore.create(path, _SLIDE, ClassScheme.from_names([*names, "new"]))
    store.insert(nucleus_table(xy[:, 0], xy[:, 1], names[0], 0.9, model="m"))
    return store


def main(
    nuclei: Annotated[int, typer.Option(help="Number of nuclei.")] = 1_000_000,
    corrections: Annotated[int, typer.Option(help="Corrections at the start.")] = 50,
    runs: Annotated[int, typer.Option(help="Number of runs.")] = 20,
    method: Annotated[str, typer.Option(help="logistic or knn.")] = "logistic",
    model: Annotated[str | None, typer.Option(help="Name or file of a model.")] = None,
) -> None:
    """Print medians and the slowest, in milliseconds."""
    rng = np.random.default_rng(1)
    file = resolve_model(model)
    head = read_class_head(file)
    xy = rng.uniform(0, 50_000, (nuclei, 2)).round(3)
    with TemporaryDirectory() as scratch:
        root = Path(scratch) / "slide.muse.features"
        write_features(root, xy, head, file)
        store = make_store(Path(scratch) / "slide.muse", xy, head.class_names)
        names, numbers = store.classes.names, np.array(list(store.class_ids.values()))
        classes = rng.integers(4, size=nuclei)
        settled = np.zeros(nuclei, dtype=bool)
        chosen = rng.choice(nuclei, corrections + runs, replace=False)
        settled[chosen[:corrections]] = True
        shown = SlideNuclei(np.arange(1, nuclei + 1), xy, classes, settled)
        for state in ("without logits", "with logits", "with logits, from the disk"):
            if "disk" in state:
                forget(root)
            begin, worked = time.perf_counter(), time.process_time()
            learner = SlideLearner(
                find_features(root, _SLIDE), head, names, shown, config=RelearnConfig(method=method)
            )
            typer.echo(
                f"opened {state} in {1000 * (time.perf_counter() - begin):.0f} ms;"
                f" processors {1000 * (time.process_time() - worked):.0f} ms"
            )
        view = np.sort(rng.choice(nuclei, 5000, replace=False))
        clock, busy = [], []
        for number in chosen[corrections:].tolist():
            settled[number] = True
            marks = [(time.perf_counter(), time.process_time())]
            result = learner.learn(shown)
            learner.relabel(result, shown, view)
            marks.append((time.perf_counter(), time.process_time()))
            found = learner.relabel(result, shown)
            assert found is not None
            marks.append((time.perf_counter(), time.process_time()))
            ids, given = shown.ids[found.at], numbers[found.classes]
            store.apply_predictions(ids, given, found.probabilities)
            marks.append((time.perf_counter(), time.process_time()))
            since = 1000 * (np.array(marks[1:]) - marks[0])
            clock.append(since[:, 0])
            busy.append(since[:, 1])
        store.close()
        del learner
    typer.echo(f"{head.card.name}, {head.n_features} features")
    for i, name in enumerate(_STEPS):
        times = np.array(clock)[:, i]
        typer.echo(
            f"{name}: median {np.median(times):.0f} ms, slowest {times.max():.0f} ms;"
            f" processors {np.median(np.array(busy)[:, i]):.0f} ms"
        )


if __name__ == "__main__":
    typer.run(main)
