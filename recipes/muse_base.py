r"""Trains the bundled model ``muse-base``: one command, resumable, on two CPU cores.

    python recipes/muse_base.py --data DATA --work WORK --base muse-small-breast \
        --out muse-base.safetensors

Training continues from ``muse-small-breast``, which was trained on one set, with the seven sets of
label_sets.py, combined by partial labels, and with the stronger augmentation of muse_small.py and
sharpening, which scanners do to different degrees.
The model is a weighted average of both, three parts of the final weights and one of the initial
ones (Wortsman et al., CVPR 2022, "Robust fine-tuning of zero-shot models"): training on all sets
gains at two of three left-out hospitals and loses at the third, and the average loses less there.
Then its class head is extended to use the surroundings of a nucleus, see class_surroundings.py.

That model is the teacher of a student: the same network, which continues from the final weights on
the same sets and also learns the teacher's answers for every pixel (Furlanello et al., ICML 2018,
"Born-again neural networks"). Averaged and extended likewise it is the teacher of two further
rounds. The bundled model is the average of all three rounds, which share three parts, and of the
initial weights, with a class head of its own.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parent))

from class_surroundings import with_surroundings
from label_sets import CLASSES, MPP, SETS, Prepared, prepare
from mean_weights import mean_of_weights
from muse_small import AVERAGED_ROUNDS, LOSSES, VIEWS, Stage, finish, run
from running import run_recipe
from small_encoder import ARCHITECTURE

from muse_core.files import replacing
from muse_core.finetune import FinetuneConfig
from muse_core.finetune.config import DistillationConfig
from muse_core.models.card import read_card
from muse_core.models.checkpoint import save_model
from muse_core.models.registry import resolve_model

SHARE_OF_END = 0.75
"""Share of the final weights in the average; those of several rounds share it."""


def shares(start: Path, ends: Sequence[Path]) -> dict[Path, float]:
    """Share of the initial and of each of the final models in the average of their weights."""
    return {start: 1 - SHARE_OF_END, **dict.fromkeys(ends, SHARE_OF_END / len(ends))}


def config(
    prepared: Prepared, stage: Stage, base: Path, without_sites: Collection[str] = ()
) -> FinetuneConfig:
    """All sets, without some hospitals.

    The final weights are used: tiles of hospitals that the initial model was trained on would
    favour the first steps.
    """
    return FinetuneConfig(
        train=prepared.training(tuple(SETS), without_sites),
        base=base,
        out=stage.out,
        model=ARCHITECTURE,
        classes=CLASSES,
        mpp=MPP,
        steps=stage.steps,
        seed=stage.seed,
        batch=12,
        learning_rate=1e-3,
        ema_decay=0.9999,
        ema_reach=0.5,
        validate_every=200,
        views=dataclasses.replace(VIEWS, sharpen_share=0.4),
        losses=LOSSES,
        shards=2,
        workers=stage.workers,
    )


def student(
    prepared: Prepared,
    stage: Stage,
    start: Path,
    teacher: Path,
    without_sites: Collection[str] = (),
) -> FinetuneConfig:
    """The same network, continuing from the final weights; it learns from the teacher too."""
    # Another seed, so that the same crops do not come again.
    further = dataclasses.replace(stage, seed=stage.seed + 1)
    return dataclasses.replace(
        config(prepared, further, start, without_sites), distillation=DistillationConfig(teacher)
    )


def main(
    data: Annotated[Path, typer.Option(help="Folder with the sets.")],
    work: Annotated[Path, typer.Option(help="Folder for prepared sets.")],
    out: Annotated[Path, typer.Option(help="Model to write.")],
    base: Annotated[str, typer.Option(help="Model to start from.")] = "muse-small-breast",
    steps: Annotated[int, typer.Option(help="Optimiser steps of the teacher.")] = 1800,
    student_steps: Annotated[int, typer.Option(help="Further steps, with it.")] = 2400,
    further_rounds: Annotated[
        int, typer.Option(min=0, help="Rounds after that, with the student's average as teacher.")
    ] = 2,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that cut crops.")] = 1,
) -> None:
    """Train the bundled model."""
    prepared = prepare(data, work / "sets")
    start, end = resolve_model(base), work / f"base-{steps}-{seed}.safetensors"
    run(config(prepared, Stage(end, steps, seed, workers), start))
    ends: list[Path] = []
    teacher = work / f"base-teacher-{steps}-{seed}.safetensors"
    _make_teacher(shares(start, [end]), teacher, prepared, seed)
    for number in range(1 + further_rounds):
        taught = work / f"base-student-{steps}-{student_steps}-{seed}-{number}.safetensors"
        # Another seed for each round, so that the same crops do not come again.
        stage = Stage(taught, student_steps, seed + number, workers)
        run(student(prepared, stage, end, teacher))
        end = taught
        ends.append(taught)
        if number == 0:
            teacher = work / f"base-teacher-{steps}-{student_steps}-{seed}.safetensors"
            _make_teacher(shares(start, ends), teacher, prepared, seed)
    mean = mean_of_weights(shares(start, ends[-AVERAGED_ROUNDS:]))
    save_model(with_surroundings(mean, prepared, seed), out)
    # The teachers are steps of the same recipe, not parents.
    finish(out, prepared, "muse-base", "General model", parent=read_card(start).name)


def _make_teacher(
    parts: Mapping[Path, float], teacher: Path, prepared: Prepared, seed: int
) -> None:
    """Write the average of some stages as a teacher, unless it exists."""
    if teacher.is_file():
        return
    with replacing(teacher) as partial:
        save_model(with_surroundings(mean_of_weights(parts), prepared, seed), partial)
        finish(partial, prepared, "muse-base-teacher", "Teacher of muse-base")


if __name__ == "__main__":
    run_recipe(main)
