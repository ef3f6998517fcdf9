"""``muse finetune``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli import finetune_data as data
from muse_core.cli.finetune_flags import older_settings
from muse_core.cli.numbers import integer
from muse_core.cli.options import (
    AnyDeviceOption,
    ChannelsOption,
    ConfigOption,
    ForceMppOption,
    JsonOption,
    SetOption,
    require_scale_to_force,
)
from muse_core.errors import UserError


class Mode(StrEnum):
    """Part of the network that is trained."""

    ADAPT = "adapt"
    FULL = "full"


_OutOption = Annotated[
    Path | None, typer.Option("--out", help="Model file to write (.safetensors).")
]
_BaseOption = Annotated[
    str | None,
    typer.Option("--model", help="Name or file of the model to start from; else from scratch."),
]
_ModeOption = Annotated[
    Mode | None,
    typer.Option("--mode", help="adapt: the heads, in seconds. full: all weights, in minutes."),
]
_StepsOption = Annotated[
    int | None, typer.Option("--steps", parser=integer, help="Optimiser steps.")
]
_SeedOption = Annotated[
    int | None, typer.Option("--seed", parser=integer, help="Seed of everything random.")
]
_ResumeOption = Annotated[
    bool | None,
    typer.Option("--resume/--restart", help="Resume from a checkpoint of the same run."),
]


def finetune_command(
    ctx: typer.Context,
    config: ConfigOption = None,
    settings: SetOption = None,
    out: _OutOption = None,
    annotations: data.AnnotationsOption = None,
    slide: data.SlideOption = None,
    slide_mpp: data.SlideMppOption = None,
    force_mpp: ForceMppOption = False,
    channels: ChannelsOption = None,
    train: data.TrainOption = None,
    class_map: data.ClassMapOption = None,
    detection_only: data.DetectionOnlyOption = None,
    mpp: data.TrainMppOption = None,
    val: data.ValOption = None,
    unlabeled: data.UnlabeledOption = None,
    model: _BaseOption = None,
    same_class: data.SameClassOption = None,
    mode: _ModeOption = None,
    steps: _StepsOption = None,
    seed: _SeedOption = None,
    device: AnyDeviceOption = None,
    resume: _ResumeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model on reviewed fields or annotated images, from a model or from scratch.

    All settings can be given in a file with --config, or with --set NAME=VALUE; options override
    --set, which overrides the file. Ctrl-C stops, keeps the best weights so far, and exits with
    code 130; the same command resumes.
    """
    from muse_core.cli.console import run_at_terminal
    from muse_core.config_file import read_values, with_settings
    from muse_core.finetune.presets import resolved
    from muse_core.jobs import FinetuneJob

    options = [name for param in ctx.command.params for name in param.opts]
    older = older_settings(ctx.args, options)
    values = with_settings(read_values(config) if config else {}, [*(settings or ()), *older])
    folders = data.folders(train, class_map, detection_only, mpp, val is not None, force_mpp)
    more = data.unlabeled(unlabeled, force_mpp)
    require_scale_to_force(force_mpp, slide_mpp, mpp, *data.scales(folders, more))
    flags: dict[str, object] = {
        "out": out, "base": model, "mode": mode, "steps": steps, "seed": seed, "device": device,
        "resume": resume,
        "stores": data.stores(annotations, slide, slide_mpp, force_mpp, channels),
        "train": folders,
        "val": data.validation(val, mpp, force_mpp),
        "unlabeled": more,
        "class_map": data.same_classes(same_class),
    }  # fmt: skip
    values |= {name: value for name, value in flags.items() if value is not None}
    if "out" not in values:
        raise UserError("Say with --out which file the model is to be written to.")
    name = config.name if config else "The command line"
    job = FinetuneJob(resolved(values, name))
    data.say_notes_on((*job.config.train, *((job.config.val,) if job.config.val else ())))
    run_at_terminal(job, as_json)
