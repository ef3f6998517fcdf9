"""``muse models list``."""

from __future__ import annotations

import json

import typer

from muse_core.cli.options import JsonOption
from muse_core.models.card import BACKBONE


def models_list(as_json: JsonOption = False) -> None:
    """List the models: the bundled ones, your own, and those that can be downloaded."""
    from muse_core.models.registry import (
        DEFAULT_MODEL,
        available_models,
        list_models,
        user_model_folder,
    )
    from muse_core.models.released import DEFAULT_MPP, LICENCE, REPOSITORY

    entries = list_models()
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "name": entry.name,
                        "status": "installed",
                        "kind": entry.card.kind,
                        "path": str(entry.path),
                        "bundled": entry.bundled,
                        "default": entry.name == DEFAULT_MODEL,
                        "mpp": entry.card.mpp,
                        "classes": [c["name"] for c in entry.card.classes],
                        "metrics": entry.card.metrics,
                        "licence": entry.card.licence,
                        "description": entry.card.description,
                    }
                    for entry in entries
                ]
                + [
                    {
                        "name": released.name,
                        "status": "available",
                        "kind": BACKBONE,
                        "path": None,
                        "bundled": False,
                        "default": False,
                        "mpp": DEFAULT_MPP,
                        "classes": [],
                        "metrics": {},
                        "licence": LICENCE,
                        "description": f"Backbone released in {REPOSITORY}; not fetched yet.",
                    }
                    for released in available_models()
                ]
            )
        )
        return
    for entry in entries:
        default = " (default)" if entry.name == DEFAULT_MODEL else ""
        classes = ", ".join(c["name"] for c in entry.card.classes) or entry.card.kind
        typer.echo(f"{entry.name}{default}: {classes}; {entry.card.mpp:g} um/px")
    for released in available_models():
        typer.echo(f"{released.name}: backbone, available; get it with muse models fetch")
    typer.echo(f"Your own models lie in {user_model_folder()}.")
