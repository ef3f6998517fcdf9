"""The bundled model's recipe, cross-validated over patients.

    python benchmarks/cross_validate.py --data DATA --folds 3 --steps 1500

Each fold trains on the BRCAM2C tiles of other patients (and on CoNSeP and the negatives, as the
recipe does) and is scored once on its own tiles: last weights, score threshold 0.5, nothing chosen
on what is reported. Tiles of one patient share the first 12 characters of their names.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from muse_small_breast import ARCHITECTURE, LOSSES, VIEWS, cut_negatives, training_sets

from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import detect_images, score_tables
from muse_core.evaluate.points_folder import image_paths, read_points_folder
from muse_core.finetune import FinetuneConfig, finetune
from muse_core.models.checkpoint import load_model
from muse_core.nuclei import ClassScheme

PATIENT_CHARACTERS = 12


def patient_folds(names: list[str], folds: int, seed: int) -> list[list[str]]:
    """Part tiles so that no patient is in two folds."""
    patients = sorted({name[:PATIENT_CHARACTERS] for name in names})
    order = np.random.default_rng(seed).permutation(patients)
    fold_of = {patient: i % folds for i, patient in enumerate(order)}
    return [[n for n in names if fold_of[n[:PATIENT_CHARACTERS]] == k] for k in range(folds)]


def main(
    data: Annotated[Path, typer.Option(help="Folder with brcam2c, consep20x and slides.")],
    folds: Annotated[int, typer.Option(help="Number of folds.")] = 3,
    only: Annotated[int | None, typer.Option(help="Run this fold alone.")] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps of each fold.")] = 1500,
    seed: Annotated[int, typer.Option(help="Of the folds and the training.")] = 0,
) -> None:
    """Print one JSON line for each fold."""
    tiles = data / "brcam2c" / "train"
    names = [path.stem for path in image_paths(tiles)]
    parts = patient_folds(names, folds, seed)
    with TemporaryDirectory() as scratch:
        negatives = Path(scratch) / "negatives"
        mpp = cut_negatives(data / "slides" / "CMU-1-Small-Region.svs", negatives)
        for number, held_out in enumerate(parts):
            if only is not None and number != only:
                continue
            others = tuple(n for n in names if n not in held_out)
            out = Path(scratch) / f"fold{number}.safetensors"
            finetune(
                FinetuneConfig(
                    train=training_sets(data, negatives, mpp, others),
                    out=out,
                    model=ARCHITECTURE,
                    steps=steps,
                    validate_every=steps,
                    seed=seed,
                    views=VIEWS,
                    losses=LOSSES,
                )
            )
            model = load_model(out)
            images = read_points_folder(tiles, 0.5, held_out)
            tables = detect_images(model, images, DetectConfig())
            report = score_tables(images, tables, ClassScheme.from_json(model.card.classes).names)
            print(json.dumps({"fold": number, "steps": steps, **report.to_json()}), flush=True)


if __name__ == "__main__":
    typer.run(main)
