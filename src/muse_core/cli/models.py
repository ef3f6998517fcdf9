"""``muse models list``."""

from __future__ import annotations

import json

import typer

from muse_core.cli.options import JsonOption


def models_list(as_json: JsonOption = False) -> None:
    """List the models: those that came with the package, then your own."""
    from muse_core.models.registry import DEFAULT_MODEL, list_models, user_model_folder

    entries = list_models()
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "name": entry.name,
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
            )
        )
        return
    for entry in entries:
        default = " (default)" if entry.name == DEFAULT_MODEL else ""
        classes = ", ".join(c["name"] for c in entry.card.classes)
        typer.echo(f"{entry.name}{default}: {classes}; {entry.card.mpp:g} um/px")
    if not entries:
        typer.echo(f"There is no model; put .safetensors files into {user_model_folder()}.")
