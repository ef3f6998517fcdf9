"""The bundled model's recipe, cross-validated over patients.

    python benchmarks/cross_validate.py --data DATA --work WORK --folds 3 --steps 1500

Each fold trains on the BRCAM2C tiles of other patients (and on CoNSeP and the negatives, as the
recipe does) and is scored once on its own tiles: last weights, score threshold 0.5, nothing chosen
on what is reported. Tiles of one patient share the first 12 characters of their names. --plain
trains the same network on the BRCAM2C tiles alone, altered by flips, rotations and gains of the
stains: what the recipe adds is the difference. Models are kept in --work, so that a run that was
cut off goes on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from muse_small_breast import ARCHITECTURE, LOSSES, VIEWS, cut_negatives, training_sets

from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import detect_images, score_tables
from muse_core.evaluate.points_folder import image_paths, read_points_folder
from muse_core.finetune import FinetuneConfig, LabelSet, Listener, finetune
from muse_core.finetune.config import LossConfig, ViewConfig
from muse_core.models.checkpoint import load_model
from muse_core.nuclei import ClassScheme

PATIENT_CHARACTERS = 12
MPP = 0.5
PLAIN_VIEWS = ViewConfig(
    zoom=(1.0, 1.0), stain_shift=0.0, stain_vector_noise=0.0, blur_share=0.0, noise=0.0
)


def patient_folds(names: list[str], folds: int, seed: int) -> list[list[str]]:
    """Part tiles so that no patient is in two folds."""
    patients = sorted({name[:PATIENT_CHARACTERS] for name in names})
    order = np.random.default_rng(seed).permutation(patients)
    fold_of = {patient: i % folds for i, patient in enumerate(order)}
    return [[n for n in names if fold_of[n[:PATIENT_CHARACTERS]] == k] for k in range(folds)]


def configuration(
    data: Path, work: Path, names: tuple[str, ...], out: Path, steps: int, seed: int, plain: bool
) -> FinetuneConfig:
    """A fold's training on the BRCAM2C tiles of these names."""
    if plain:
        train: tuple[LabelSet, ...] = (LabelSet(data / "brcam2c" / "train", MPP, names=names),)
    else:
        negatives = work / "negatives"
        mpp = cut_negatives(data / "slides" / "CMU-1-Small-Region.svs", negatives)
        train = training_sets(data, negatives, mpp, names)
    return FinetuneConfig(
        train=train,
        out=out,
        model=ARCHITECTURE,
        steps=steps,
        # Nothing is validated on the way, but what was reached is saved.
        validate_every=250,
        seed=seed,
        views=PLAIN_VIEWS if plain else VIEWS,
        losses=LossConfig() if plain else LOSSES,
    )


def main(
    data: Annotated[Path, typer.Option(help="Folder with brcam2c, consep20x and slides.")],
    work: Annotated[Path, typer.Option(help="Folder for the models.")],
    folds: Annotated[int, typer.Option(help="Number of folds.")] = 3,
    only: Annotated[int | None, typer.Option(help="Run this fold alone.")] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps of each fold.")] = 1500,
    seed: Annotated[int, typer.Option(help="Of the folds and the training.")] = 0,
    plain: Annotated[bool, typer.Option("--plain", help="Train without what we add.")] = False,
) -> None:
    """Print one JSON line for each fold."""
    tiles = data / "brcam2c" / "train"
    names = [path.stem for path in image_paths(tiles)]
    kind = "plain" if plain else "recipe"
    work.mkdir(parents=True, exist_ok=True)
    for number, held_out in enumerate(patient_folds(names, folds, seed)):
        if only is not None and number != only:
            continue
        others = tuple(n for n in names if n not in held_out)
        out = work / f"{kind}-{steps}-{number}.safetensors"
        # A checkpoint beside the model says that its training was cut off.
        if not out.is_file() or out.with_suffix(".checkpoint").is_file():
            listener = Listener(on_progress=_report)
            finetune(configuration(data, work, others, out, steps, seed, plain), listener)
        model = load_model(out)
        images = read_points_folder(tiles, MPP, held_out)
        tables = detect_images(model, images, DetectConfig(min_score=0.5))
        report = score_tables(images, tables, ClassScheme.from_json(model.card.classes).names)
        line = {"recipe": kind, "fold": number, "steps": steps, **report.to_json()}
        print(json.dumps(line), flush=True)


def _report(done: int, total: int, text: str) -> None:
    if done % 250 == 0:
        print(f"{done} of {total}, {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)
