"""``muse rescue``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli.options import JsonOption


def rescue(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The damaged annotation store.")],
    out: Annotated[Path, typer.Option("--out", help="New annotation store to write.")],
    as_json: JsonOption = False,
) -> None:
    """Write what can still be read of a damaged annotation store to a new one.

    The damaged store is not changed. The history of edits is left out: undo begins anew.
    """
    from muse_core.nuclei.counted import counted, counted_nuclei
    from muse_core.nuclei.store.rescue import rescue_store

    found = rescue_store(store, out)
    for note in found.notes:
        typer.echo(note, err=True)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "out": str(out)}))
        return
    typer.echo(
        f"Rescued {counted_nuclei(found.nuclei)}, {counted(found.regions, 'region', 'regions')} and"
        f" {counted(found.classes, 'class', 'classes')} into {out}."
    )
