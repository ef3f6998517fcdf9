"""``muse dataset convert``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli.numbers import number
from muse_core.cli.options import JsonOption


def dataset_convert(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="brcam2c, ocelot, puma, consep or pannuke.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The dataset as published.")],
    out: Annotated[Path, typer.Option("--out", help="Points-folder to write; new or empty.")],
    split: Annotated[
        str, typer.Option("--split", help="train, val, test; of PanNuke fold1 to fold3.")
    ] = "train",
    out_mpp: Annotated[
        float | None,
        typer.Option(
            "--out-mpp",
            parser=number,
            help="Microns per pixel to write at; else the dataset's own.",
        ),
    ] = None,
    fine: Annotated[
        bool, typer.Option("--fine", help="The finest classes instead of those of the papers.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a published dataset into a points-folder, for training and evaluation."""
    from muse_core.data.datasets import Detail, convert_dataset

    def show(done: int, image: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done} images")

    facts = convert_dataset(
        name, folder, out, split, detail=Detail(out_mpp, fine), on_progress=show
    )
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if as_json:
        typer.echo(json.dumps({**facts, "out": str(out)}))
        return
    counts = ", ".join(f"{n:,} {kind}" for kind, n in facts["nuclei"].items())
    typer.echo(f"{facts['images']:,} images at {facts['mpp']:g} um/px in {out}: {counts}.")
