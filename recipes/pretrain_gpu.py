"""Pretrain ViT-S/16 and the small encoder on the shared data for a given time.

    python recipes/pretrain_gpu.py --data DATA --out OUT --minutes 60

Each network gets half the time. A few steps measure how long a step takes; the schedule is then as
long as fits, in a hundred epochs, so that warm-ups have the paper's share of it, and an interrupted
run resumes with the same schedule. Weights are written as float16,
in parts of at most 16 MB; recipes/weight_parts.py joins them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parent))

from pretraining_data import cut_rois
from running import run_recipe
from small_encoder import ARCHITECTURE
from weight_parts import split

from muse_core.models.checkpoint import load_backbone, save_backbone
from muse_core.models.config import BackboneConfig
from muse_core.pretrain.config import (
    LossesConfig,
    PretrainConfig,
    ScheduleConfig,
    ViewsConfig,
)
from muse_core.pretrain.config_file import read_pretrain_config
from muse_core.pretrain.export import BACKBONE_NAME
from muse_core.pretrain.train import Run, pretrain
from muse_core.strict import plain_values

NETWORKS = {
    "vit-s": BackboneConfig("vit_small_patch16_224", None, 96, align_corners=True),
    "small": ARCHITECTURE.backbone,
}
EPOCHS = 100
"""The paper's; the lengths of warm-ups are given in epochs."""
_TIMED_STEPS = 5


def main(
    data: Annotated[Path, typer.Option(help="Folder with brcam2c, consep20x, slides, unlabeled.")],
    out: Annotated[Path, typer.Option(help="Folder for all output.")],
    minutes: Annotated[
        float, typer.Option(help="Minutes of training, all networks together.")
    ] = 60.0,
    networks: Annotated[str, typer.Option(help="Comma-separated: vit-s, small.")] = "vit-s,small",
    batch: Annotated[int, typer.Option(help="Samples per step.")] = 64,
    global_px: Annotated[int, typer.Option(help="Side of global views.")] = 224,
    local_px: Annotated[int, typer.Option(help="Side of local views.")] = 96,
    prototypes: Annotated[int, typer.Option(help="Outputs of each head.")] = 8192,
    workers: Annotated[int, typer.Option(help="Processes that load.")] = 8,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    limit: Annotated[int | None, typer.Option(help="Files per source, for a trial run.")] = None,
) -> None:
    """Pretrain, then print one JSON line per network."""
    rois = cut_rois(data, out / "rois", device, limit)
    names = networks.split(",")
    for name in names:
        base = PretrainConfig(
            rois=rois,
            out=out / name,
            name=f"muse-pretrained-{name}",
            model=NETWORKS[name],
            views=ViewsConfig(global_px=global_px, local_px=local_px),
            losses=LossesConfig(prototypes=prototypes),
            schedule=ScheduleConfig(epochs=1, epoch_samples=batch, batch=batch),
            device=device,  # type: ignore[arg-type]
            workers=workers,
        )
        config = _of_length(base, minutes * 60 / len(names))
        result = pretrain(config)
        backbone, card = load_backbone(config.out / BACKBONE_NAME)
        half = config.out / "half" / f"{card.name}.safetensors"
        half.parent.mkdir(exist_ok=True)
        save_backbone(backbone, card, half)
        split(half, config.out / "parts")
        facts = dataclasses.asdict(result) | {"path": str(result.path), "network": name}
        print(json.dumps(facts), flush=True)


def _of_length(base: PretrainConfig, seconds: float) -> PretrainConfig:
    """The configuration whose epochs fit the time, or that of an earlier start if there is one."""
    planned = base.out / "planned.json"
    if planned.is_file():
        return read_pretrain_config(planned)
    timed = dataclasses.replace(base.schedule, epochs=1 + _TIMED_STEPS)
    run = Run(dataclasses.replace(base, out=base.out / "timing", schedule=timed), resume=False)
    batches = run.batches()
    run.train_on(batches)
    begin = time.perf_counter()
    for _ in range(_TIMED_STEPS):
        run.train_on(batches)
    step_s = (time.perf_counter() - begin) / _TIMED_STEPS
    batches.close()
    run.close()
    config = dataclasses.replace(base, schedule=schedule_of(base.schedule, int(seconds / step_s)))
    planned.write_text(json.dumps(plain_values(config)), encoding="utf-8")
    return config


def schedule_of(schedule: ScheduleConfig, steps: int) -> ScheduleConfig:
    """The schedule in as many epochs of equal length as the paper has, or as there are steps."""
    epochs = max(1, min(EPOCHS, steps))
    per_epoch = max(1, steps // epochs)
    return dataclasses.replace(schedule, epochs=epochs, epoch_samples=per_epoch * schedule.batch)


if __name__ == "__main__":
    run_recipe(main)
