"""Cost of features for relearning: during detection, and for one nucleus that is added later.

    python benchmarks/features.py SLIDE

Runs the jobs of the command line and the window, including opening the slide, in this process,
where libraries are loaded by a first run of each that is not counted. Detections with and without
features alternate, so that other load on the machine affects both alike; reported are CPU seconds
and the ratio within each pair. Then nuclei are added to the annotations one at a time, and the
features of each are computed; reported are wall-clock and CPU milliseconds.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

from muse_core.jobs import Done, run_job
from muse_core.jobs.specs import DetectJob, FeaturesJob, JobSpec
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import StorePlace


def worked(job: JobSpec) -> tuple[float, float]:
    """Run a job to its end; wall-clock and CPU seconds."""
    clock, processor = time.perf_counter(), time.process_time()
    end = run_job(job, lambda event: None)
    if not isinstance(end, Done):
        raise SystemExit(str(end))
    return time.perf_counter() - clock, time.process_time() - processor


def detections(slide: Path, model: str, runs: int) -> None:
    """Print the cost of a detection without and with features, alternating."""
    pairs = []
    for _ in range(runs + 1):
        pair = []
        for with_features in (False, True):
            with TemporaryDirectory() as scratch:
                job = DetectJob(
                    str(slide),
                    model,
                    str(Path(scratch) / "nuclei.csv"),
                    device="cpu",
                    features_in=str(Path(scratch) / "features") if with_features else None,
                )
                pair.append(worked(job)[1])
        pairs.append(pair)
    without, kept = np.array(pairs[1:]).T
    ratio = kept / without
    typer.echo(
        f"{model}: processor {np.median(without):.2f} s without features,"
        f" {np.median(kept):.2f} s with; ratio {np.median(ratio):.3f}"
        f" ({ratio.min():.3f} to {ratio.max():.3f}, {runs} pairs)"
    )


def added(slide: Path, model: str, runs: int) -> None:
    """Print the cost of the features of one more nucleus."""
    rng = np.random.default_rng(0)
    taken = []
    with (
        TemporaryDirectory() as scratch,
        StorePlace(slide, Path(scratch)).create(ClassScheme.from_names(["a"])) as store,
    ):
        for x, y in rng.uniform(300, 1500, (runs + 1, 2)).tolist():
            store.add(x, y, "a")
            taken.append(worked(FeaturesJob(str(slide), str(store.path), model, device="cpu")))
    clock, processor = (1000 * np.array(part) for part in zip(*taken[1:], strict=True))
    typer.echo(
        f"{model}: features of an added nucleus in {statistics.median(clock):.0f} ms"
        f" (slowest {clock.max():.0f}); processor {statistics.median(processor):.0f} ms"
        f" (most {processor.max():.0f}), {runs} runs"
    )


def main(
    slide: Annotated[
        Path, typer.Argument(help="The slide to measure on; its file must state its MPP.")
    ],
    models: Annotated[str, typer.Option(help="Names or files.")] = "muse-small,muse-base",
    runs: Annotated[
        int, typer.Option(help="Number of pairs of detections, and of added nuclei.")
    ] = 5,
) -> None:
    """Print a line for each model and measurement."""
    # As in the command line.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    for model in models.split(","):
        detections(slide, model, runs)
        added(slide, model, runs)


if __name__ == "__main__":
    typer.run(main)
