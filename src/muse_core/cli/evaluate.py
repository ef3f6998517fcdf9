"""``muse evaluate detect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli.options import Device, DeviceOption, JsonOption, ModelOption


def evaluate_detect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with images/ and points/.")],
    mpp: Annotated[float, typer.Option("--mpp", help="Microns per pixel of the images.")],
    model: ModelOption = None,
    device: DeviceOption = Device.AUTO,
    as_json: JsonOption = False,
) -> None:
    """F1 of detection and classification within 3 um, pooled over the images of a folder.

    Where the folder's classes are not the model's, only detection is measured.
    """
    from muse_core.models.card import read_card
    from muse_core.models.registry import resolve_model

    # Refused before torch is loaded, which takes seconds.
    path = resolve_model(model)
    read_card(path)

    from muse_core.evaluate.detection import evaluate_folder

    figures = evaluate_folder(folder, mpp, path, device.value).to_json()
    if as_json:
        typer.echo(json.dumps(figures))
        return
    typer.echo(f"images  {figures['n_images']}")
    typer.echo(f"F det   {figures['f_det']:.4f}")
    if figures["f_class"] is None:
        typer.echo("F avg   not measured: the folder's classes are not the model's")
        return
    typer.echo(f"F avg   {figures['f_avg']:.4f}")
    for name, value in figures["f_class"].items():
        typer.echo(f"  {name}  {value:.4f}")
