r"""Recipes of the bundled models, evaluated on hospitals they have not seen.

    python benchmarks/cross_validate.py --data DATA --work WORK --recipe sets --first-steps 2000 \
        --steps 500
    python benchmarks/cross_validate.py --data DATA --work WORK --recipe earlier --steps 500

BRCA-M2C comes from three hospitals: the two letters after TCGA-. Each in turn is left out of
training and of choosing weights and threshold, including its tiles in "val" and in any other set;
the model is then scored once on its tiles of "train" and "val". Weights and threshold are chosen on
val tiles of the other hospitals, whose patients are not trained on.

--recipe selects:

- "sets": muse_small.py. Its first stage has no tile of the three hospitals and is shared by all
  runs of a seed; its teachers are the models that "base" has left in --work.
- "sets-further": two further rounds of muse_small.py, continuing from the models of "sets" after
  --first-steps; its teachers are those of "base-student" after --teacher-steps.
- "earlier": muse_small_breast.py from random weights.
- "base": the teacher of muse_base.py, starting from the model of "earlier" trained for
  --first-steps.
- "base-student": muse_base.py, continuing from the models that "base" has left in --work after
  --teacher-steps.
- "base-further": two further rounds of muse_base.py, continuing from the models of "base-student"
  after as many steps, which also teach.
- "thin" and "plain-views": the earlier recipe's network, or its views, in the later recipe, to
  measure the effect of each change.
- "random" and "pretrained": the second stage of muse_small.py from random weights, and from
  thin_pretraining.py, which uses none of the three hospitals.
- "doubtful": "pretrained" without background loss where the models of "random" and "pretrained",
  in --work, agree on a nucleus that nobody annotated.

With --final the final weights of the three "base" recipes are scored, without averaging them. With
--model a model that may have seen the hospitals is scored instead. Models are kept in --work, so a
run can be resumed. Prints a JSON line per hospital, then one for their mean.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

import muse_base
import muse_small
import muse_small_breast
from class_surroundings import with_surroundings
from earlier_recipe import earlier_config
from label_sets import MPP, Prepared, prepare, site_of
from mean_weights import mean_of_weights
from muse_small import BREAST_SITES
from operating_point import CANDIDATES, careful_choice, reports_of
from small_encoder import EPOCHS
from taught_classes import taught_sets
from thin_pretraining import pretrained
from unannotated_nuclei import without_doubtful_background

from muse_core.data.points_folder import AnnotatedImage, image_paths, read_points_folder
from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import DetectionReport, detect_images, score_tables
from muse_core.finetune import FinetuneConfig
from muse_core.models.checkpoint import load_model, save_model
from muse_core.models.config import THIN
from muse_core.models.muse_model import MuseModel
from muse_core.models.registry import resolve_model
from muse_core.nuclei import ClassScheme


@dataclasses.dataclass(frozen=True)
class Plan:
    """Common parameters of the runs of a benchmark.

    Attributes:
        data: Folder with the sets.
        work: Folder for the models.
        prepared: The sets at the model's scale.
        first_steps: Steps of the first stage, if there is one.
        steps: Steps of each run.
        seed: Seed of all random numbers.
        workers: Processes that cut crops.
        teacher_steps: Steps of the runs of "base" whose models are the teachers; with 0 "sets" has
            none, and ambiguous classes stay ambiguous.
        epochs: Length of the pretraining of "pretrained".
        pretraining_seed: Seed of that pretraining.
    """

    data: Path
    work: Path
    prepared: Prepared
    first_steps: int
    steps: int
    seed: int
    workers: int
    teacher_steps: int = 0
    epochs: int = EPOCHS
    pretraining_seed: int = 0


def main(
    data: Annotated[Path, typer.Option(help="Folder with the sets.")],
    work: Annotated[Path, typer.Option(help="Folder for sets and models.")],
    recipe: Annotated[str, typer.Option(help="One of the recipes above.")] = "sets",
    site: Annotated[list[str] | None, typer.Option(help="Leave out this hospital only.")] = None,
    first_steps: Annotated[int, typer.Option(help="Steps of the first stage of sets.")] = 2000,
    steps: Annotated[int, typer.Option(help="Steps of each run.")] = 500,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that cut crops.")] = 1,
    teacher_steps: Annotated[int, typer.Option(help="Steps of the teacher base; 0: none.")] = 0,
    epochs: Annotated[int, typer.Option(help="Epochs of the pretraining of pretrained.")] = EPOCHS,
    pretraining_seed: Annotated[int, typer.Option(help="Seed of that pretraining.")] = 0,
    final: Annotated[bool, typer.Option("--final", help="Score final weights.")] = False,
    model: Annotated[str | None, typer.Option(help="Score this model instead.")] = None,
) -> None:
    """Print a JSON line for each left-out hospital."""
    prepared = prepare(data, work / "sets")
    plan = Plan(
        data=data,
        work=work,
        prepared=prepared,
        first_steps=first_steps,
        steps=steps,
        seed=seed,
        workers=workers,
        teacher_steps=teacher_steps,
        epochs=epochs,
        pretraining_seed=pretraining_seed,
    )
    lines = []
    for left_out in site or BREAST_SITES:
        if model:
            path = resolve_model(model)
            line: dict[str, Any] = {"model": model, "site": left_out}
        else:
            path = _trained(plan, recipe, left_out, final)
            line = {"recipe": recipe, "site": left_out, "steps": steps, "seed": seed}
        line |= score(path, tiles_of(data, left_out)).to_json()
        print(json.dumps(line), flush=True)
        lines.append(line)
    print(json.dumps(mean_over_sites(lines)), flush=True)


def _trained(plan: Plan, recipe: str, left_out: str, final: bool) -> Path:
    """Train without a hospital, unless that has been done; returns the model to be scored."""
    path = model_path(plan, recipe, plan.steps, left_out)
    muse_small.run(dataclasses.replace(RECIPES[recipe](plan, left_out), out=path))
    if final:
        return finished(plan, load_model(path), path.with_stem(f"{path.stem}-final"), left_out)
    if recipe in FINISHES:
        return finished(plan, FINISHES[recipe](plan, path, left_out), path, left_out)
    return path


def tiles_of(data: Path, site: str) -> tuple[AnnotatedImage, ...]:
    """All BRCA-M2C tiles of a hospital."""
    folders = (data / "brcam2c" / part for part in ("train", "val"))
    return tuple(
        image
        for folder in folders
        for image in read_points_folder(
            folder, MPP, [p.stem for p in image_paths(folder) if site_of(p.stem) == site]
        )
    )


def score(model_path: Path, images: Sequence[AnnotatedImage]) -> DetectionReport:
    """Figures at the model's own threshold."""
    model = load_model(model_path)
    tables = detect_images(model, images, DetectConfig())
    return score_tables(images, tables, ClassScheme.from_json(model.card.classes).names)


def mean_over_sites(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Unweighted means of the hospitals' figures."""
    classes = lines[0]["f_class"]
    return {
        **{name: lines[0][name] for name in ("recipe", "model") if name in lines[0]},
        "sites": [line["site"] for line in lines],
        "f_det": float(np.mean([line["f_det"] for line in lines])),
        "f_avg": float(np.mean([line["f_avg"] for line in lines])),
        "f_class": {c: float(np.mean([line["f_class"][c] for line in lines])) for c in classes},
    }


def _sets(plan: Plan, site: str) -> FinetuneConfig:
    """The present recipe."""
    start = plan.work / f"first-{plan.first_steps}-{plan.seed}.safetensors"
    first = muse_small.Stage(start, plan.first_steps, plan.seed, plan.workers)
    muse_small.run(muse_small.first_stage(plan.prepared, first))
    if not plan.teacher_steps:
        return _second_stage(plan, site, start)
    return _taught(plan, _second_stage(plan, site, start, _teacher(plan, site)))


def _taught(plan: Plan, config: FinetuneConfig) -> FinetuneConfig:
    """The same with ambiguous classes as the teacher sees them."""
    teacher = config.distillation.teacher
    assert teacher is not None
    sets = taught_sets(config.train, teacher, plan.work / "taught")
    return dataclasses.replace(config, train=sets)


def _sets_further(plan: Plan, site: str) -> FinetuneConfig:
    """The second of two further rounds, after the first one."""
    start, first = model_path(plan, "sets", plan.first_steps, site), _first_further(plan, site)
    muse_small.run(_further_round(plan, site, start, first, 2))
    return _further_round(plan, site, first, plan.work / "unnamed.safetensors", 3)


def _further_round(plan: Plan, site: str, start: Path, out: Path, number: int) -> FinetuneConfig:
    teacher = finished_path(model_path(plan, "base-student", plan.teacher_steps, site))
    stage = muse_small.Stage(out, plan.steps, plan.seed + number, plan.workers)
    config = muse_small.second_stage(plan.prepared, stage, start, (site,), teacher)
    return _taught(plan, config)


def _first_further(plan: Plan, site: str) -> Path:
    return model_path(plan, "sets-further-first", plan.steps, site)


def _random(plan: Plan, site: str) -> FinetuneConfig:
    """The second stage alone, from random weights."""
    return _second_stage(plan, site, None)


def _pretrained(plan: Plan, site: str) -> FinetuneConfig:
    """The second stage alone, from a backbone pretrained without labels."""
    start = pretrained(plan.prepared, plan.work, plan.epochs, plan.pretraining_seed, plan.workers)
    return _second_stage(plan, site, start)


def _doubtful(plan: Plan, site: str) -> FinetuneConfig:
    """From the same backbone, without background loss where an ensemble sees unannotated nuclei."""
    config = _pretrained(plan, site)
    ensemble = [model_path(plan, recipe, plan.steps, site) for recipe in ("random", "pretrained")]
    sets = without_doubtful_background(
        config.train, [finished_path(path) for path in ensemble], plan.work / "doubtful"
    )
    return dataclasses.replace(config, train=sets)


def _second_stage(
    plan: Plan, site: str, start: Path | None, teacher: Path | None = None
) -> FinetuneConfig:
    return muse_small.second_stage(plan.prepared, _last_stage(plan), start, (site,), teacher)


def _last_stage(plan: Plan) -> muse_small.Stage:
    """Configuration of the training to compare, without its output path."""
    out = plan.work / "unnamed.safetensors"
    return muse_small.Stage(out, plan.steps, plan.seed, plan.workers)


def _plain_views(plan: Plan, site: str) -> FinetuneConfig:
    """The present recipe, with the earlier recipe's augmentation in its second stage."""
    views = dataclasses.replace(muse_small_breast.VIEWS, crop_px=muse_small.VIEWS.crop_px)
    return dataclasses.replace(_sets(plan, site), views=views)


def _earlier(plan: Plan, site: str) -> FinetuneConfig:
    """The earlier recipe, from random weights."""
    return earlier_config(plan.prepared, plan.data, _last_stage(plan), (site,))


def _later_sets(plan: Plan, site: str) -> FinetuneConfig:
    """The earlier recipe's model, further trained on all sets with partial labels."""
    start = _start_of_base(plan, site)
    earlier = dataclasses.replace(plan, steps=plan.first_steps)
    muse_small.run(dataclasses.replace(_earlier(earlier, site), out=start))
    return muse_base.config(plan.prepared, _last_stage(plan), start, (site,))


def _base_student(plan: Plan, site: str) -> FinetuneConfig:
    """What the recipe of muse-base makes of its teacher."""
    start, teacher = model_path(plan, "base", plan.teacher_steps, site), _teacher(plan, site)
    return muse_base.student(plan.prepared, _last_stage(plan), start, teacher, (site,))


def _base_further(plan: Plan, site: str) -> FinetuneConfig:
    """The second of two further rounds, after the first one."""
    end, first = (model_path(plan, name, plan.steps, site) for name in _ROUNDS)
    stage, teacher = _last_stage(plan), finished_path(end)
    rounds = [dataclasses.replace(stage, seed=plan.seed + number) for number in (1, 2)]
    to_first = dataclasses.replace(rounds[0], out=first)
    muse_small.run(muse_base.student(plan.prepared, to_first, end, teacher, (site,)))
    return muse_base.student(plan.prepared, rounds[1], first, teacher, (site,))


def _teacher(plan: Plan, site: str) -> Path:
    """The larger model without a hospital."""
    return finished_path(model_path(plan, "base", plan.teacher_steps, site))


def model_path(plan: Plan, recipe: str, steps: int, site: str) -> Path:
    """Output path of a recipe after so many steps without a hospital."""
    return plan.work / f"{recipe}-{steps}-{plan.seed}-without-{site}.safetensors"


def finished_path(end: Path) -> Path:
    """Path of the model that a recipe makes from the final weights."""
    return end.with_stem(f"{end.stem}-finished")


def _start_of_base(plan: Plan, site: str) -> Path:
    return model_path(plan, "earlier", plan.first_steps, site)


def _between(plan: Plan, end: Path, site: str) -> MuseModel:
    """What the recipe of muse-base makes of the initial and final weights."""
    return mean_of_weights(muse_base.shares(_start_of_base(plan, site), [end]))


def _between_rounds(plan: Plan, end: Path, site: str) -> MuseModel:
    """What it makes of the initial weights and those after three rounds."""
    ends = [*(model_path(plan, name, plan.steps, site) for name in _ROUNDS), end]
    return mean_of_weights(muse_base.shares(_start_of_base(plan, site), ends))


def _end(plan: Plan, end: Path, site: str) -> MuseModel:
    """What the recipe of muse-small continues from: the final weights unchanged."""
    return load_model(end)


def _mean_of_rounds(plan: Plan, end: Path, site: str) -> MuseModel:
    """The mean of both rounds; of more of them the recipe of muse-small averages three."""
    return mean_of_weights({_first_further(plan, site): 0.5, end: 0.5})


def finished(plan: Plan, trained: MuseModel, end: Path, site: str) -> Path:
    """Write a model whose classes also use the surroundings, its threshold chosen on val tiles.

    Args:
        plan: Parameters of the run.
        trained: Result of its training.
        end: Output path of that training.
        site: The left-out hospital.
    """
    model = with_surroundings(trained, plan.prepared, plan.seed, (site,))
    of_others = plan.prepared.validation((site,))
    images = read_points_folder(of_others.folder, MPP, of_others.names)
    reports = reports_of(model, images, ClassScheme.from_json(model.card.classes).names)
    best = careful_choice([(r.f_det + (r.f_avg or 0.0)) / 2 for r in reports])
    model.card = dataclasses.replace(model.card, score_threshold=CANDIDATES[best])
    out = finished_path(end)
    save_model(model, out)
    return out


def _thin(plan: Plan, site: str) -> FinetuneConfig:
    """The earlier recipe with the thin network."""
    return dataclasses.replace(_earlier(plan, site), model=THIN)


_ROUNDS = ("base-student", "base-further-first")
"""Models that the last round of "base-further" follows."""
RECIPES: dict[str, Callable[[Plan, str], FinetuneConfig]] = {
    "sets": _sets,
    "sets-further": _sets_further,
    "plain-views": _plain_views,
    "thin": _thin,
    "random": _random,
    "pretrained": _pretrained,
    "doubtful": _doubtful,
    "earlier": _earlier,
    "base": _later_sets,
    "base-student": _base_student,
    "base-further": _base_further,
}
FINISHES: dict[str, Callable[[Plan, Path, str], MuseModel]] = {
    "sets": _end,
    "sets-further": _mean_of_rounds,
    "random": _end,
    "pretrained": _end,
    "doubtful": _end,
    "base": _between,
    "base-student": _between,
    "base-further": _between_rounds,
}


if __name__ == "__main__":
    typer.run(main)
