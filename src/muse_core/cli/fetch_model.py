"""``muse models fetch``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli.numbers import number
from muse_core.cli.options import JsonOption
from muse_core.models.released import DEFAULT_MPP


def models_fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name as in muse models list, as available.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Model file to write; else into your models.")
    ] = None,
    model_mpp: Annotated[
        float, typer.Option("--model-mpp", parser=number, help="Microns per pixel to use it at.")
    ] = DEFAULT_MPP,
    as_json: JsonOption = False,
) -> None:
    """Download a backbone that MUSE's authors released, from the Hugging Face Hub.

    The licence of the weights is Apache-2.0. An interrupted download is resumed.
    """
    from muse_core.cli.console import progress_bar
    from muse_core.jobs.progress import ProgressReporter
    from muse_core.models.card import check_model_target, read_card
    from muse_core.models.fetching import fetch_released
    from muse_core.slides.mpp import check_mpp

    check_mpp(model_mpp)
    if out is not None:
        check_model_target(out)
    with progress_bar() as show:
        path = fetch_released(name, out, mpp=model_mpp, on_progress=ProgressReporter(show))
    card = read_card(path)
    if as_json:
        facts = {"path": str(path), "name": card.name, "kind": card.kind, "mpp": card.mpp}
        typer.echo(json.dumps(facts | {"fov_px": card.fov_px, "licence": card.licence}))
        return
    typer.echo(f"{card.name}, a backbone for {card.mpp:g} um/px, written to {path}.")
