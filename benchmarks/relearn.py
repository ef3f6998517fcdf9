"""Seconds from a correction to the classes of a million nuclei.

    python benchmarks/relearn.py

A million nuclei of 128 features in float16, mapped from a file, four classes, 50 corrections. Of 20
runs, each with one correction more: learning and the 5,000 nuclei in view, then all of them.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from muse_core.classify.relearn.base import BaseLogits
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.examples import Examples
from muse_core.classify.relearn.learner import Learner

_CLASSES = ("lymphocyte", "stromal", "tumor", "other")
_BLOCK = 50_000


def write_features(path: Path, nuclei: int, channels: int) -> np.ndarray:
    """A file of features around four centres, mapped; nothing of it is held in memory."""
    rng = np.random.default_rng(0)
    mapped = np.memmap(path, np.float16, "w+", shape=(nuclei, channels))
    centres = rng.standard_normal((len(_CLASSES), channels))
    for start in range(0, nuclei, _BLOCK):
        part = mapped[start : start + _BLOCK]
        noise = rng.standard_normal(part.shape, np.float32)
        part[:] = centres[rng.integers(len(_CLASSES), size=len(part))] + 2 * noise
    mapped.flush()
    return np.memmap(path, np.float16, "r", shape=(nuclei, channels))


def main(
    nuclei: Annotated[int, typer.Option(help="How many.")] = 1_000_000,
    channels: Annotated[int, typer.Option(help="Features of each.")] = 128,
    corrections: Annotated[int, typer.Option(help="At the start.")] = 50,
    runs: Annotated[int, typer.Option(help="How often.")] = 20,
    method: Annotated[str, typer.Option(help="logistic or knn.")] = "logistic",
) -> None:
    """Print medians and the slowest, in milliseconds."""
    rng = np.random.default_rng(1)
    with TemporaryDirectory() as scratch:
        features = write_features(Path(scratch) / "features.f16", nuclei, channels)
        logits = rng.standard_normal((len(_CLASSES), nuclei), np.float32)
        known = np.array([True, True, True, False])
        begin = time.perf_counter()
        learner = Learner(
            features, BaseLogits(logits, known), _CLASSES, 0.5, RelearnConfig(method=method)
        )
        typer.echo(f"opened in {1000 * (time.perf_counter() - begin):.0f} ms")
        view = np.sort(rng.choice(nuclei, 5000, replace=False))
        rows = rng.choice(nuclei, corrections + runs, replace=False)
        classes = rng.integers(len(_CLASSES), size=len(rows))
        xy = rng.uniform(0, 50_000, (len(rows), 2))
        in_view, in_all = [], []
        for n in range(corrections, corrections + runs):
            begin = time.perf_counter()
            lesson = learner.learn(Examples(rows[:n], classes[:n], xy[:n]))
            lesson.predictor.predict(view)
            in_view.append(1000 * (time.perf_counter() - begin))
            lesson.predictor.predict()
            in_all.append(1000 * (time.perf_counter() - begin))
        del features
    for name, times in (("view", in_view), ("all", in_all)):
        typer.echo(f"{name}: median {np.median(times):.0f} ms, slowest {max(times):.0f} ms")


if __name__ == "__main__":
    typer.run(main)
