"""``muse finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.options import Device, DeviceOption, JsonOption
from muse_core.errors import UserError

if TYPE_CHECKING:
    from muse_core.jobs import TrainSet


def finetune(
    train: Annotated[
        list[Path], typer.Option("--train", help="Folder with images/ and points/; repeatable.")
    ],
    mpp: Annotated[
        float, typer.Option("--mpp", help="Microns per pixel of the --train and --val images.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Model file to write (.safetensors).")],
    val: Annotated[
        Path | None, typer.Option("--val", help="Folder to choose the best weights on.")
    ] = None,
    detection_only: Annotated[
        list[str] | None,
        typer.Option(
            "--detection-only",
            metavar="DIR=MPP",
            help="Folder with other classes, to learn only from where its nuclei are; repeatable.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Name or file of the model to start from; else from scratch."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name in the model card.")] = "",
    description: Annotated[str, typer.Option("--description", help="For the model card.")] = "",
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="timm encoder of a model from scratch.")
    ] = None,
    model_mpp: Annotated[
        float, typer.Option("--model-mpp", help="Resolution of a model from scratch.")
    ] = 0.5,
    steps: Annotated[int, typer.Option("--steps", help="Optimiser steps.")] = 3000,
    batch: Annotated[int, typer.Option("--batch", help="Crops in a step.")] = 8,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Its peak.")] = 2e-3,
    validate_every: Annotated[
        int, typer.Option("--validate-every", help="Steps between validations.")
    ] = 500,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 0,
    device: DeviceOption = Device.AUTO,
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Go on from a checkpoint of the same run.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Train a model on annotated images, from an existing model or from scratch.

    Ctrl-C stops, keeps the best weights so far, and exits with code 130; the same command goes on.
    """
    from muse_core.cli.console import run_at_terminal
    from muse_core.jobs import FinetuneJob, TrainSet

    sets = [TrainSet(str(folder), mpp) for folder in train]
    sets += [_detection_only(text) for text in detection_only or ()]
    job = FinetuneJob(
        train=sets,
        out=str(out),
        val=None if val is None else TrainSet(str(val), mpp),
        model=model,
        name=name,
        description=description,
        encoder=encoder,
        model_mpp=model_mpp,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        validate_every=validate_every,
        seed=seed,
        device=device.value,
        resume=resume,
    )
    run_at_terminal(job, as_json)


def _detection_only(text: str) -> TrainSet:
    from muse_core.jobs import TrainSet

    folder, _, mpp = text.rpartition("=")
    try:
        return TrainSet(folder, float(mpp), classes_count=False)
    except ValueError:
        raise UserError(f"--detection-only takes DIR=MPP, got {text!r}.") from None
