"""``muse models import``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli.numbers import integer, number
from muse_core.cli.options import JsonOption
from muse_core.models.released import DEFAULT_MPP


def models_import(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.pth", help="Checkpoint released by MUSE's authors.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Model file to write; else into your models, by its name."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the model; else by its architecture.")
    ] = None,
    model_mpp: Annotated[
        float, typer.Option("--model-mpp", parser=number, help="Microns per pixel to use it at.")
    ] = DEFAULT_MPP,
    fov_px: Annotated[
        int | None,
        typer.Option(
            "--fov-px", parser=integer, help="Field of view in pixels, if file and name do not say."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a released MUSE checkpoint to a model file.

    No code in the checkpoint is run; projection heads are left out.
    """
    from muse_core.models.card import check_model_target, read_card
    from muse_core.models.released_import import import_released
    from muse_core.slides.mpp import check_mpp

    check_mpp(model_mpp)
    if out is not None:
        check_model_target(out, unlike=file)
    target = import_released(file, out, mpp=model_mpp, fov_px=fov_px, name=name)
    card = read_card(target)
    if as_json:
        facts = {"path": str(target), "name": card.name, "kind": card.kind, "mpp": card.mpp}
        typer.echo(json.dumps(facts | {"fov_px": card.fov_px, "licence": card.licence}))
        return
    typer.echo(f"{card.name}, a backbone for {card.mpp:g} um/px, written to {target}.")
