"""``muse finetune``."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.options import ChannelsOption, Device, DeviceOption, ForceMppOption, JsonOption
from muse_core.errors import UserError

if TYPE_CHECKING:
    from muse_core.jobs import StoreSet, TrainSet, UnlabeledSet


class Mode(StrEnum):
    """How much of the network is trained."""

    ADAPT = "adapt"
    FULL = "full"


def finetune(
    out: Annotated[Path, typer.Option("--out", help="Model file to write (.safetensors).")],
    annotations: Annotated[
        list[Path] | None,
        typer.Option("--annotations", help="Annotation store (.muse) of a slide; repeatable."),
    ] = None,
    slide: Annotated[
        list[Path] | None,
        typer.Option("--slide", help="Slide of each store in turn, if not beside it; repeatable."),
    ] = None,
    slide_mpp: Annotated[
        float | None,
        typer.Option("--slide-mpp", help="Microns per pixel of slides whose files do not say."),
    ] = None,
    force_mpp: ForceMppOption = False,
    channels: ChannelsOption = None,
    unlabeled: Annotated[
        list[str] | None,
        typer.Option(
            "--unlabeled",
            metavar="PATH[=MPP]",
            help="Slide or folder of images without annotations, for --mode full; repeatable.",
        ),
    ] = None,
    train: Annotated[
        list[str] | None,
        typer.Option(
            "--train", metavar="DIR[=MPP]", help="Folder with images/ and points/; repeatable."
        ),
    ] = None,
    class_map: Annotated[
        list[Path] | None,
        typer.Option(
            "--class-map",
            help="JSON file of the model's classes that those of a folder may be: of all --train,"
            " or repeated, of each in turn.",
        ),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option("--mpp", help="Microns per pixel of --val, and of --train without =MPP."),
    ] = None,
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
    mode: Annotated[
        Mode,
        typer.Option("--mode", help="adapt: the heads, in seconds. full: all weights, in minutes."),
    ] = Mode.FULL,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Name or file of the model to start from; else from scratch."),
    ] = None,
    same_class: Annotated[
        list[str] | None,
        typer.Option(
            "--same-class",
            metavar="OLD=NEW",
            help="A class of the model that means the same as a class to learn; repeatable.",
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name in the model card.")] = "",
    description: Annotated[str, typer.Option("--description", help="For the model card.")] = "",
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="timm encoder of a model from scratch, or thin: the bundled model's network.",
        ),
    ] = None,
    model_mpp: Annotated[
        float, typer.Option("--model-mpp", help="Resolution of a model from scratch.")
    ] = 0.5,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", help="Optimiser steps; 200 to adapt, 150 from stores, 3000 from folders."
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", help="Crops in a step; 8, from stores 2.")
    ] = None,
    sample_px: Annotated[
        int | None,
        typer.Option("--sample-px", help="Side of a crop in model pixels; 256, from stores 512."),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Its peak.")
    ] = None,
    backbone_rate: Annotated[
        float | None,
        typer.Option(
            "--backbone-rate",
            help="Rate of the backbone as a share of the heads'; 0.1 from stores, 1 from folders.",
        ),
    ] = None,
    consistency: Annotated[
        float | None,
        typer.Option(
            "--consistency",
            help="Weight of the loss on tissue without annotations; 1 where there is any, else 0.",
        ),
    ] = None,
    own_slides: Annotated[
        bool,
        typer.Option(
            "--own-slides/--no-own-slides",
            help="Whether the rest of the stores' slides is tissue without annotations, for --mode"
            " full.",
        ),
    ] = True,
    correction_weight: Annotated[
        float,
        typer.Option("--correction-weight", help="Corrected against confirmed nuclei."),
    ] = 2.0,
    validate_every: Annotated[
        int | None, typer.Option("--validate-every", help="Steps between validations.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 0,
    device: DeviceOption = Device.AUTO,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=0, help="Processes that cut crops for --mode full, for GPUs."
        ),
    ] = 0,
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Go on from a checkpoint of the same run.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Train a model on reviewed fields or annotated images, from a model or from scratch.

    Ctrl-C stops, keeps the best weights so far, and exits with code 130; the same command goes on.
    """
    from muse_core.cli.console import run_at_terminal
    from muse_core.jobs import FinetuneJob

    folders = _with_maps([_train(text, mpp) for text in train or ()], class_map or [])
    job = FinetuneJob(
        train=folders + [_detection_only(text) for text in detection_only or ()],
        out=str(out),
        val=None if val is None else _folder(val, mpp),
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
        workers=workers,
        resume=resume,
        annotations=_stores(annotations or [], slide or [], slide_mpp, force_mpp, channels),
        unlabeled=[_unlabeled(text, force_mpp) for text in unlabeled or ()],
        mode=mode.value,
        class_map=dict(_same_class(text) for text in same_class or ()) or None,
        correction_weight=correction_weight,
        sample_px=sample_px,
        backbone_rate=backbone_rate,
        consistency=consistency,
        own_slides=own_slides,
    )
    run_at_terminal(job, as_json)


def _folder(path: Path, mpp: float | None) -> TrainSet:
    from muse_core.jobs import TrainSet

    if mpp is None:
        raise UserError("The scale of the images is missing; give it with --mpp.")
    return TrainSet(str(path), mpp)


def _train(text: str, mpp: float | None) -> TrainSet:
    folder, found, own = text.rpartition("=")
    if not found or Path(text).exists():
        return _folder(Path(text), mpp)
    try:
        return _folder(Path(folder), float(own))
    except ValueError:
        raise UserError(f"--train takes DIR or DIR=MPP, got {text!r}.") from None


def _with_maps(folders: list[TrainSet], paths: list[Path]) -> list[TrainSet]:
    from muse_core.data.class_map import read_class_map

    maps = [read_class_map(path) for path in paths]
    if not maps:
        return folders
    if len(maps) == 1:
        maps *= len(folders)
    if len(maps) != len(folders):
        raise UserError("Give one --class-map for all --train folders, or one for each in turn.")
    # Lists, as JSON gives them back.
    classes = [{name: list(may_be) for name, may_be in m.classes.items()} for m in maps]
    return [
        replace(folder, class_map=c, exhaustive=m.exhaustive)
        for folder, m, c in zip(folders, maps, classes, strict=True)
    ]


def _stores(
    stores: list[Path],
    slides: list[Path],
    mpp: float | None,
    force_mpp: bool,
    channels: str | None,
) -> list[StoreSet]:
    from muse_core.jobs import StoreSet

    if len(slides) > len(stores):
        raise UserError("There are more --slide than --annotations.")
    return [
        StoreSet(str(store), None if slide is None else str(slide), mpp, force_mpp, channels)
        for store, slide in zip_longest(stores, slides)
    ]


def _unlabeled(text: str, force_mpp: bool) -> UnlabeledSet:
    from muse_core.jobs import UnlabeledSet

    path, found, mpp = text.rpartition("=")
    if not found or Path(text).exists():
        return UnlabeledSet(text)
    try:
        return UnlabeledSet(path, float(mpp), force_mpp)
    except ValueError:
        return UnlabeledSet(text)


def _same_class(text: str) -> tuple[str, str]:
    old, found, new = text.partition("=")
    if not found or not old or not new:
        raise UserError(f"--same-class takes OLD=NEW, got {text!r}.")
    return old, new


def _detection_only(text: str) -> TrainSet:
    from muse_core.jobs import TrainSet

    folder, _, mpp = text.rpartition("=")
    try:
        return TrainSet(folder, float(mpp), classes_count=False)
    except ValueError:
        raise UserError(f"--detection-only takes DIR=MPP, got {text!r}.") from None
