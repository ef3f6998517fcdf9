"""``muse relearn``."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.options import JsonOption, ModelOption

if TYPE_CHECKING:
    from muse_core.classify.relearn.whole import Relearned

_MOST_MOVES = 8


class Method(enum.StrEnum):
    """Method by which classes are learnt."""

    LOGISTIC = "logistic"
    KNN = "knn"


def relearn_command(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Annotations, ending in .muse.")],
    method: Annotated[
        Method,
        typer.Option(
            "--method", help="Logistic regression on the model's logits, or nearest neighbours."
        ),
    ] = Method.LOGISTIC,
    model: ModelOption = None,
    features: Annotated[
        Path | None,
        typer.Option("--features", help="Folder of the features; else the one beside STORE."),
    ] = None,
    save_model: Annotated[
        Path | None,
        typer.Option(
            "--save-model", help="Write what was learnt as a model too, for other slides."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Learn the classes of a slide's nuclei from those that a person has corrected.

    Nuclei that a person has decided on keep their classes; all others get the predicted class, in
    one edit that can be undone. Takes a second, and needs the features that detection keeps beside
    the annotations.
    """
    from muse_core.classify.relearn.config import RelearnConfig
    from muse_core.classify.relearn.whole import relearn

    config = RelearnConfig(method=method.value)
    done = relearn(store, model, config=config, features=features, save_model=save_model)
    for note in done.notes:
        typer.echo(note, err=True)
    typer.echo(json.dumps(_facts(done)) if as_json else _sentences(done))


def _sentences(done: Relearned) -> str:
    from muse_core.classify.relearn.whole import summary

    shown = list(done.moved.items())[:_MOST_MOVES]
    moves = [f"  {count:,} from {before} to {after}" for (before, after), count in shown]
    return "\n".join([summary(done), *moves])


def _facts(done: Relearned) -> dict[str, object]:
    return {
        "nuclei": done.nuclei,
        "examples": done.examples,
        "changed": done.changed,
        "moved": [{"from": a, "to": b, "nuclei": n} for (a, b), n in done.moved.items()],
        "agreement": done.agreement,
        "agreement_before": done.agreement_before,
        "seconds": round(done.seconds, 3),
    }
