"""Whether data loading slows down pretraining: time of a step with and without loading.

    python benchmarks/pretrain.py --rois ROIS --batch 16

Steps on batches in memory alternate with steps on batches from the loader. After each turn the
loader's first steps are not counted, because their batches were prepared in the meantime.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import torch
import typer

from muse_core.models.config import BackboneConfig
from muse_core.pretrain.batches import PretrainBatch
from muse_core.pretrain.config import PretrainConfig, ScheduleConfig
from muse_core.pretrain.train import Run

_PREFETCHED = 5
_CACHED = 4


def _times(run: Run, batches: Iterator[PretrainBatch], steps: int) -> list[float]:
    times = []
    for _ in range(steps):
        begin = time.perf_counter()
        # The loss is returned as a number, so the device has finished.
        run.train_on(batches)
        times.append(time.perf_counter() - begin)
    return times


def main(
    rois: Annotated[Path, typer.Option(help="Folder written by muse rois.")],
    batch: Annotated[int, typer.Option(help="Samples per step.")] = 16,
    steps: Annotated[int, typer.Option(help="Counted steps per turn.")] = 6,
    turns: Annotated[int, typer.Option(help="Turns of each kind.")] = 3,
    workers: Annotated[int, typer.Option(help="Processes that load.")] = 1,
    encoder: Annotated[str, typer.Option(help="timm name.")] = "resnet10t",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32 or bf16.")] = "auto",
) -> None:
    """Print one JSON line."""
    is_vit = encoder.startswith("vit_")
    model = BackboneConfig(encoder, None, 96) if is_vit else BackboneConfig(encoder)
    with TemporaryDirectory() as scratch:
        config = PretrainConfig(
            rois=rois,
            out=Path(scratch),
            model=model,
            schedule=ScheduleConfig(epochs=1000, epoch_samples=100 * batch, batch=batch),
            device=device,  # type: ignore[arg-type]
            precision=precision,  # type: ignore[arg-type]
            workers=workers,
        )
        run = Run(config)
        loader = run.batches()
        cached = itertools.cycle([next(loader) for _ in range(_CACHED)])
        _times(run, cached, 3)
        in_memory: list[float] = []
        loading: list[float] = []
        for _ in range(turns):
            in_memory += _times(run, cached, steps)
            loading += _times(run, loader, _PREFETCHED * max(workers, 1) + steps)[-steps:]
        loader.close()
        run.close()
    loaded, kept = statistics.mean(loading), statistics.mean(in_memory)
    print(
        json.dumps(
            {
                "encoder": encoder,
                "device": run.fabric.device.type,
                "precision": run.config.precision,
                "threads": torch.get_num_threads(),
                "cores": os.cpu_count(),
                "batch": batch,
                "workers": workers,
                "cached_step_s": round(kept, 4),
                "loader_step_s": round(loaded, 4),
                "ratio": round(loaded / kept, 3),
                "ratio_of_medians": round(
                    statistics.median(loading) / statistics.median(in_memory), 3
                ),
                "samples_per_s": round(batch / loaded, 2),
            }
        )
    )


if __name__ == "__main__":
    typer.run(main)
