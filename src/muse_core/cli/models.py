"""``muse models list``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from muse_core.cli.options import JsonOption
from muse_core.models.card import BACKBONE

if TYPE_CHECKING:
    from muse_core.models.registry import ModelEntry
    from muse_core.models.released import ReleasedModel


def models_list(as_json: JsonOption = False) -> None:
    """List the models: the bundled ones, your own, and those that can be downloaded."""
    from muse_core.models.registry import (
        DEFAULT_MODEL,
        available_models,
        list_models,
        user_model_folder,
    )

    if as_json:
        listed = [_facts_of_installed(entry) for entry in list_models()]
        listed += [_facts_of_available(released) for released in available_models()]
        typer.echo(json.dumps(listed))
        return
    for entry in list_models():
        default = " (default)" if entry.name == DEFAULT_MODEL else ""
        classes = ", ".join(c["name"] for c in entry.card.classes) or entry.card.kind
        typer.echo(f"{entry.name}{default}: {classes}; {entry.card.mpp:g} um/px")
    for released in available_models():
        typer.echo(f"{released.name}: backbone, available; get it with muse models fetch")
    typer.echo(f"Your own models lie in {user_model_folder()}.")


def _facts_of_installed(entry: ModelEntry) -> dict[str, object]:
    from muse_core.models.registry import DEFAULT_MODEL

    return {
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


def _facts_of_available(released: ReleasedModel) -> dict[str, object]:
    from muse_core.models.released import DEFAULT_MPP, LICENCE, REPOSITORY

    return {
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
