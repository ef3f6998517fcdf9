"""Trains the bundled model ``muse-small``: one command, resumable, on two CPU cores.

    python recipes/muse_small.py --data DATA --work WORK --out muse-small.safetensors

DATA contains the sets listed in label_sets.py. The first stage is trained on all sets except the
breast set, whose tiles come from the three hospitals that benchmarks/cross_validate.py leaves out
one by one: as it has no tile of any of them, one first stage serves these runs too. The second
stage continues on all sets, whose ambiguous classes the larger model has resolved, see
taught_classes.py, and learns that model's answers for every pixel. It has several rounds, each with
a learning rate that rises and falls (Loshchilov and Hutter, ICLR 2017), so that training can be
continued. The weights after the last three rounds are averaged. Then the class head is extended to
use the surroundings of a nucleus, see class_surroundings.py.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

sys.path.insert(0, str(Path(__file__).parent))

from class_surroundings import with_surroundings
from label_sets import BREAST, CLASSES, MPP, NEGATIVES_WEIGHT, SETS, Prepared, prepare
from mean_weights import mean_of_weights
from operating_point import set_threshold
from running import run_recipe
from taught_classes import taught_sets

from muse_core.finetune import FinetuneConfig, Listener, finetune
from muse_core.finetune.config import DistillationConfig, LossConfig, ViewConfig
from muse_core.models.checkpoint import load_model, save_model
from muse_core.models.config import THIN
from muse_core.models.registry import resolve_model

DESCRIPTION = (
    "{kind} for H&E at 0.5 um/px. Classes lymphocyte, stromal and tumor (epithelial"
    " nuclei outside tumours mostly come out as tumor too). Learnt from BRCA-M2C, OCELOT, CoNSeP,"
    " CRCHistoPhenotypes, MoNuSAC, MoNuSeg and NuInsSeg, some of which forbid commercial use."
    " Research use only."
)
LICENCE = "CC-BY-NC-SA-4.0"
BREAST_SITES = ("A7", "A8", "AC")
VIEWS = ViewConfig(
    crop_px=224,
    zoom=(0.75, 1.35),
    stain_gain=(0.5, 1.8),
    stain_shift=0.05,
    stain_vector_noise=0.08,
    brightness=0.1,
    contrast=0.2,
    blur_px=(0.4, 1.3),
    blur_share=0.2,
    noise=0.03,
    jpeg_share=0.4,
    coarse_share=0.25,
)
LOSSES = LossConfig(classes=1.0, label_smoothing=0.05)
AVERAGED_ROUNDS = 3


@dataclass(frozen=True)
class Stage:
    """One training of a recipe.

    Attributes:
        out: Model to write.
        steps: Optimiser steps.
        seed: Seed of all random numbers.
        workers: Processes that cut crops.
    """

    out: Path
    steps: int
    seed: int
    workers: int


def first_stage(prepared: Prepared, stage: Stage) -> FinetuneConfig:
    """All sets except the breast set, without a tile of its hospitals."""
    names = [name for name in SETS if name != BREAST]
    return FinetuneConfig(
        train=prepared.training(names, BREAST_SITES),
        out=stage.out,
        model=THIN,
        classes=CLASSES,
        mpp=MPP,
        steps=stage.steps,
        seed=stage.seed,
        batch=16,
        learning_rate=2e-3,
        validate_every=200,
        views=VIEWS,
        losses=LOSSES,
        shards=2,
        workers=stage.workers,
    )


def second_stage(
    prepared: Prepared,
    stage: Stage,
    base: Path | None,
    without_sites: Collection[str] = (),
    teacher: Path | None = None,
) -> FinetuneConfig:
    """All sets, continuing from the first stage, without some hospitals; it learns from a teacher.

    Scanner sharpening is simulated, also of coarse texture, which is otherwise mistaken for nuclei;
    this provides more negative examples. As in muse_base.py the final weights are used.
    """
    return dataclasses.replace(
        first_stage(prepared, stage),
        train=prepared.training(tuple(SETS), without_sites, 2 * NEGATIVES_WEIGHT),
        base=base,
        distillation=DistillationConfig(teacher),
        learning_rate=1.5e-3,
        ema_decay=0.9999,
        ema_reach=0.5,
        views=dataclasses.replace(
            VIEWS, sharpen=(0.3, 2.5), sharpen_px=(0.6, 4.0), sharpen_share=0.5
        ),
    )


def run(config: FinetuneConfig) -> None:
    """Train or resume; finished models are kept."""
    if config.out.is_file() and not config.out.with_suffix(".checkpoint").is_file():
        return
    finetune(config, Listener(on_progress=_report, on_metrics=lambda f: print(f, flush=True)))


def main(
    data: Annotated[Path, typer.Option(help="Folder with the sets.")],
    work: Annotated[Path, typer.Option(help="Folder for prepared sets and the first stage.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Model to write; without it only the first stage is trained."),
    ] = None,
    first_steps: Annotated[int, typer.Option(help="Steps of the first stage.")] = 2000,
    steps: Annotated[int, typer.Option(help="Steps of each round of the second stage.")] = 2400,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of the second stage.")] = 2,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that cut crops.")] = 1,
    teacher: Annotated[
        str, typer.Option(help="Model that resolves ambiguous classes and is imitated.")
    ] = "muse-base",
    further_rounds: Annotated[int, typer.Option(min=0, help="Rounds after these.")] = 0,
    further_teacher: Annotated[str, typer.Option(help="Their teacher.")] = "muse-base",
) -> None:
    """Train the bundled model."""
    prepared = prepare(data, work / "sets")
    start = work / f"first-{first_steps}-{seed}.safetensors"
    run(first_stage(prepared, Stage(start, first_steps, seed, workers)))
    if out is None:
        return
    ends: list[Path] = []
    for number, name in enumerate([teacher] * rounds + [further_teacher] * further_rounds):
        larger = resolve_model(name)
        end = work / f"second-{first_steps}-{steps}-{seed}-{number}.safetensors"
        # Another seed for each round, so that the same crops do not come again.
        stage = Stage(end, steps, seed + number, workers)
        config = second_stage(prepared, stage, start, teacher=larger)
        sets = taught_sets(config.train, larger, work / "taught")
        run(dataclasses.replace(config, train=sets))
        start = end
        ends.append(end)
    averaged = ends[-AVERAGED_ROUNDS:]
    mean = mean_of_weights(dict.fromkeys(averaged, 1 / len(averaged)))
    save_model(with_surroundings(mean, prepared, seed), out)
    # The first stage is a step of the same recipe, not a parent.
    finish(out, prepared, "muse-small", "Small general model", parent=None)


def finish(path: Path, prepared: Prepared, name: str, kind: str, **changes: Any) -> None:
    """Choose the score threshold, and complete the card: name, licence, sets and their authors.

    Args:
        path: A model that was trained on all sets.
        prepared: The sets.
        name: Name of the model.
        kind: Beginning of its description.
        **changes: Further fields of the card.
    """
    set_threshold(path, prepared)
    model = load_model(path)
    sets = [{"set": s.folder, "authors": s.authors, "licence": s.licence} for s in SETS.values()]
    model.card = dataclasses.replace(
        model.card,
        name=name,
        description=DESCRIPTION.format(kind=kind),
        licence=LICENCE,
        training=model.card.training | {"sets": sets},
        **changes,
    )
    save_model(model, path)


def _report(done: int, total: int, text: str) -> None:
    if done % 20 == 0:
        print(f"{done}/{total} {text}", flush=True)


if __name__ == "__main__":
    run_recipe(main)
