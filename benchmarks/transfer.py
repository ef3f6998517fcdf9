"""Detection on left-out data sets, and tumour or not on left-out patients.

    python benchmarks/transfer.py --data DATA --work WORK --without consep,monuseg
    python benchmarks/transfer.py --data DATA --work WORK --recipe base --without consep,monuseg
    python benchmarks/transfer.py --data DATA --work WORK --model muse-small

With --without, a recipe is trained without these sets and scored on all their tiles:

- "first": the first stage of muse_small.py, which never has the breast set.
- "earlier": muse_small_breast.py from random weights. Of these sets it only knows CoNSeP, whose
  positions are left out with it.
- "base": muse_base.py up to its teacher, starting from "earlier" after --first-steps. The
  surroundings, which classes alone depend on, are left out.

With --model an existing model is scored: on the holdout of label_sets.py or, with --unseen, on all
tiles except these. OCELOT's holdout patients show how well tumour cells are distinguished from all
others: F1 of "tumor" and of "background_cell" within 3 microns. The threshold of a trained model is
chosen on holdout tiles of the sets that it is trained on. Prints one JSON line per set.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

import muse_base
import muse_small
from earlier_recipe import earlier_config
from label_sets import BREAST, MPP, SETS, Prepared, prepare
from mean_weights import mean_of_weights
from operating_point import best_threshold_over

from muse_core.data.points_folder import AnnotatedImage, read_points_folder
from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import detect_images, score_tables
from muse_core.finetune import FinetuneConfig
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.models.registry import resolve_model

TUMOUR_OR_NOT = {"tumor": "tumor", "lymphocyte": "background_cell", "stromal": "background_cell"}


@dataclasses.dataclass(frozen=True)
class Run:
    """A training without some sets.

    Attributes:
        data: Folder with the sets.
        work: Folder for the models.
        prepared: The sets at the model's scale.
        without: Names of the sets left out.
        first_steps: Steps of what "base" starts from.
        steps: Steps of the training.
        seed: Seed of all random numbers.
        workers: Processes that cut crops.
    """

    data: Path
    work: Path
    prepared: Prepared
    without: tuple[str, ...]
    first_steps: int
    steps: int
    seed: int
    workers: int

    def stage(self, recipe: str) -> muse_small.Stage:
        """Length and output path, which names all that is left out of a recipe."""
        suffix = "".join(f"-without-{name}" for name in self.without)
        out = self.work / f"{recipe}-{self.steps}-{self.seed}{suffix}.safetensors"
        return muse_small.Stage(out, self.steps, self.seed, self.workers)


def main(
    data: Annotated[Path, typer.Option(help="Folder with the sets.")],
    work: Annotated[Path, typer.Option(help="Folder for sets and models.")],
    without: Annotated[str, typer.Option(help="Comma-separated sets to leave out.")] = "",
    recipe: Annotated[str, typer.Option(help="One of the recipes above.")] = "first",
    model: Annotated[
        str | None, typer.Option(help="Score this model instead of training one.")
    ] = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="The model has seen none of the sets.")
    ] = False,
    first_steps: Annotated[int, typer.Option(help="Steps of what base starts from.")] = 1700,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 1400,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that cut crops.")] = 1,
) -> None:
    """Print a JSON line per set."""
    prepared = prepare(data, work / "sets")
    left_out = tuple(filter(None, without.split(",")))
    threshold = None
    if model:
        network = load_model(resolve_model(model))
        everything = list(SETS) if unseen else []
    else:
        run = Run(data, work, prepared, left_out, first_steps, steps, seed, workers)
        network = RECIPES[recipe](run)
        learnt = _learnt(recipe, left_out)
        threshold, _ = best_threshold_over(network, prepared, learnt)
        everything = [name for name in SETS if name not in learnt]
    for name in SETS:
        split = prepared.split(name)
        names = split.learn + split.threshold if name in everything else split.report
        if names:
            images = read_points_folder(prepared.folder(name), MPP, names)
            print(json.dumps({"set": name, **_score(network, threshold, images)}), flush=True)


def _learnt(recipe: str, left_out: Collection[str]) -> list[str]:
    """The sets that a recipe is trained on."""
    known = {"first": set(SETS) - {BREAST}, "earlier": {BREAST, "consep"}, "base": set(SETS)}
    return [name for name in SETS if name in known[recipe] and name not in left_out]


def _first(run: Run) -> MuseModel:
    """The first stage of muse_small.py; without only the breast set it is the recipe's own."""
    return load_model(_trained(run, muse_small.first_stage(run.prepared, run.stage("first"))))


def _earlier(run: Run) -> MuseModel:
    return load_model(_end_of_earlier(run))


def _end_of_earlier(run: Run) -> Path:
    colon = "consep" not in run.without
    return _trained(run, earlier_config(run.prepared, run.data, run.stage("earlier"), colon=colon))


def _base(run: Run) -> MuseModel:
    start = _end_of_earlier(dataclasses.replace(run, steps=run.first_steps))
    end = _trained(run, muse_base.config(run.prepared, run.stage("base"), start))
    return mean_of_weights(muse_base.shares(start, [end]))


RECIPES: dict[str, Callable[[Run], MuseModel]] = {
    "first": _first,
    "earlier": _earlier,
    "base": _base,
}


def _trained(run: Run, config: FinetuneConfig) -> Path:
    """Train as configured, without the sets that are left out; returns where the model is."""
    folders = {run.prepared.folder(name) for name in run.without}
    train = tuple(s for s in config.train if s.folder not in folders)
    muse_small.run(dataclasses.replace(config, train=train))
    return config.out


def _score(
    model: MuseModel, threshold: float | None, images: Sequence[AnnotatedImage]
) -> dict[str, Any]:
    """F det, and F of tumour and other cells if the images distinguish these two."""
    tables = detect_images(model, images, DetectConfig(min_score=threshold))
    report = score_tables(images, tables, [c["name"] for c in model.card.classes])
    figures: dict[str, Any] = {"n_images": report.n_images, "f_det": round(report.f_det, 4)}
    if report.f_avg is not None:
        of_classes = {n: round(f or 0.0, 4) for n, f in (report.f_class or {}).items()}
        return figures | {"f_avg": round(report.f_avg, 4), "f_class": of_classes}
    if {n for i in images for n in i.class_names} == set(TUMOUR_OR_NOT.values()):
        renamed = list(_renamed(tables, TUMOUR_OR_NOT))
        told = score_tables(images, renamed, sorted(set(TUMOUR_OR_NOT.values())))
        figures |= {f"f_{n}": round(f or 0.0, 4) for n, f in (told.f_class or {}).items()}
    return figures


def _renamed(tables: Sequence[pd.DataFrame], names: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    for table in tables:
        yield table.assign(class_name=[names[n] for n in table["class_name"]])


if __name__ == "__main__":
    typer.run(main)
