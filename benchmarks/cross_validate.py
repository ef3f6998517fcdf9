"""The bundled model's recipe, cross-validated over patients.

    python benchmarks/cross_validate.py --data DATA --work WORK --folds 3 --steps 1500

Each fold trains on the BRCAM2C tiles of other patients (and on CoNSeP and the negatives, as the
recipe does), chooses weights and score threshold on the validation tiles of other patients, and is
scored once on its own tiles. Tiles of one patient share the first 12 characters of their names.
--plain trains the same network on the BRCAM2C tiles alone, altered by flips, rotations and gains of
the stains: what the recipe adds is the difference. --base starts from a pretrained backbone. Models
are kept in --work, so that a run that was cut off goes on.
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

from muse_core.data.points_folder import AnnotatedImage, image_paths, read_points_folder
from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import DetectionReport, detect_images, score_tables
from muse_core.files import sha256_of
from muse_core.finetune import FinetuneConfig, LabelSet, Listener, finetune
from muse_core.finetune.config import LossConfig, ViewConfig
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
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


def other_patients(names: list[str], held_out: list[str]) -> tuple[str, ...]:
    """The tiles of patients that none of the held-out tiles is of."""
    patients = {name[:PATIENT_CHARACTERS] for name in held_out}
    return tuple(name for name in names if name[:PATIENT_CHARACTERS] not in patients)


def configuration(
    data: Path,
    work: Path,
    held_out: list[str],
    out: Path,
    steps: int,
    seed: int,
    plain: bool,
    base: Path | None,
    workers: int,
) -> FinetuneConfig:
    """A fold's training on the BRCAM2C tiles of the other patients."""
    breast = data / "brcam2c"
    names, choosing = (
        other_patients([path.stem for path in image_paths(breast / part)], held_out)
        for part in ("train", "val")
    )
    if plain:
        train: tuple[LabelSet, ...] = (LabelSet(breast / "train", MPP, names=names),)
    else:
        negatives = work / "negatives"
        mpp = cut_negatives(data / "slides" / "CMU-1-Small-Region.svs", negatives)
        train = training_sets(data, negatives, mpp, names)
    return FinetuneConfig(
        train=train,
        val=LabelSet(breast / "val", MPP, names=choosing),
        out=out,
        base=base,
        model=ARCHITECTURE,
        steps=steps,
        validate_every=250,
        seed=seed,
        workers=workers,
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
    base: Annotated[Path | None, typer.Option(help="Backbone to start from.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that load; worth it on a GPU.")] = 0,
) -> None:
    """Print one JSON line for each fold."""
    tiles = data / "brcam2c" / "train"
    names = [path.stem for path in image_paths(tiles)]
    kind = "plain" if plain else "recipe"
    # A model of another run has other tiles held out.
    start = sha256_of(base)[:8] if base else "random"
    run = f"{kind}-{start}-{steps}-{folds}-{seed}"
    work.mkdir(parents=True, exist_ok=True)
    for number, held_out in enumerate(patient_folds(names, folds, seed)):
        if only is not None and number != only:
            continue
        out = work / f"{run}-{number}.safetensors"
        # A checkpoint beside the model says that its training was cut off.
        if not out.is_file() or out.with_suffix(".checkpoint").is_file():
            listener = Listener(on_progress=_report)
            config = configuration(data, work, held_out, out, steps, seed, plain, base, workers)
            finetune(config, listener)
        model = load_model(out)
        images = read_points_folder(tiles, MPP, held_out)
        line = {"recipe": kind, "fold": number, "steps": steps, **score(model, images).to_json()}
        print(json.dumps(line), flush=True)


def score(model: MuseModel, images: tuple[AnnotatedImage, ...]) -> DetectionReport:
    """Figures at the model's own threshold."""
    tables = detect_images(model, images, DetectConfig())
    return score_tables(images, tables, ClassScheme.from_json(model.card.classes).names)


def _report(done: int, total: int, text: str) -> None:
    if done % 250 == 0:
        print(f"{done} of {total}, {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)
