"""``muse evaluate probe``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.images import say_folder_notes
from muse_core.cli.numbers import integer, number
from muse_core.cli.options import Device, DeviceOption, ForceMppOption, JsonOption, ModelOption

if TYPE_CHECKING:
    from muse_core.evaluate.figures import ProbeFigures
    from muse_core.models.backbone import MuseBackbone


class Protocol(StrEnum):
    """Protocol by which frozen features are evaluated."""

    KNN = "knn"
    LINEAR = "linear"
    FINETUNE = "finetune"


_ProtocolOption = Annotated[Protocol, typer.Option("--protocol", help="How features are judged.")]
_ValOption = Annotated[
    Path | None,
    typer.Option("--val", help="Points-folder to choose the best epoch on; else the last."),
]
_ModelMppOption = Annotated[
    float | None,
    typer.Option(
        "--model-mpp", parser=number, help="Microns per pixel to use the model at; else its own."
    ),
]
_RandomInitOption = Annotated[
    bool,
    typer.Option("--random-init", help="Random weights in the model's place, to compare."),
]
_RateOption = Annotated[
    float, typer.Option("--learning-rate", parser=number, help="Of fine-tuning; 4e-5 for ResNets.")
]


def evaluate_probe(
    train: Annotated[Path, typer.Option("--train", help="Points-folder to learn from.")],
    test: Annotated[Path, typer.Option("--test", help="Points-folder to measure on.")],
    mpp: Annotated[
        float, typer.Option("--mpp", parser=number, help="Microns per pixel of the images.")
    ],
    force_mpp: ForceMppOption = False,
    model: ModelOption = None,
    protocol: _ProtocolOption = Protocol.LINEAR,
    fov_px: Annotated[
        int, typer.Option("--fov-px", parser=integer, help="Side of the tiles: 224 or 512.")
    ] = 224,
    val: _ValOption = None,
    model_mpp: _ModelMppOption = None,
    random_init: _RandomInitOption = False,
    epochs: Annotated[int, typer.Option("--epochs", parser=integer, help="Of fine-tuning.")] = 10,
    learning_rate: _RateOption = 1e-5,
    seed: Annotated[int, typer.Option("--seed", parser=integer, help="Of everything random.")] = 0,
    device: DeviceOption = Device.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Accuracy of classifying nuclei at given centres, by the protocol of the MUSE paper.

    knn: cosine neighbours, the best of 10, 20, 100, 200 and 500. linear: SGD for 100 epochs on
    frozen features. finetune: AdamW on the whole network, from the linear layer.
    """
    from muse_core.cli.console import progress_bar
    from muse_core.evaluate.probe_config import ProbeConfig
    from muse_core.jobs.progress import ProgressReporter
    from muse_core.models.card import read_card
    from muse_core.models.registry import resolve_model

    config = ProbeConfig(
        protocol=protocol.value,
        fov_px=fov_px,
        finetune_epochs=epochs,
        finetune_rate=learning_rate,
        seed=seed,
    )
    path = resolve_model(model)
    card = read_card(path)
    used_mpp = card.mpp if model_mpp is None else model_mpp

    from muse_core.evaluate.probe import ProbeFolders, probe_folders

    folders = ProbeFolders(train, test, mpp, val, force_mpp)
    say_folder_notes(folders.all, mpp, force_mpp)
    with progress_bar() as show:
        report = probe_folders(
            _backbone(path, seed if random_init else None),
            used_mpp,
            folders,
            config,
            device.value,
            ProgressReporter(show),
        )
    asked = {"protocol": protocol.value, "random_init": random_init, "fov_px": fov_px, "seed": seed}
    figures = report.to_json()
    said = {**figures, **asked, "model": card.name, "mpp": used_mpp}
    typer.echo(json.dumps(said) if as_json else "\n".join(_lines(figures)))


def _backbone(path: Path, random_seed: int | None) -> MuseBackbone:
    from muse_core.models.checkpoint import load_backbone

    backbone, card = load_backbone(path)
    if random_seed is None:
        return backbone
    import torch

    from muse_core.models.backbone import MuseBackbone
    from muse_core.models.config import BackboneConfig

    torch.manual_seed(random_seed)
    return MuseBackbone(BackboneConfig.from_json(card.architecture["backbone"])).eval()


def _lines(figures: ProbeFigures) -> list[str]:
    low, high = figures["interval_95"]
    lines = [
        f"accuracy  {figures['accuracy']:.4f}  [{low:.4f}, {high:.4f}]",
        f"balanced  {figures['balanced_accuracy']:.4f}",
        f"nuclei    {figures['n_train']:,} to learn from, {figures['n_test']:,} to measure on",
    ]
    for name, facts in figures["per_class"].items():
        lines.append(f"  {name}  F1 {facts['f1']:.4f}  recall {facts['recall']:.4f}")
    lines += [f"  k = {k}  {value:.4f}" for k, value in figures["by_neighbours"].items()]
    return lines
