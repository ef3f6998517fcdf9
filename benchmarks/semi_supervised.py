"""Few labelled tiles, with and without the others as unlabelled tissue.

    python benchmarks/semi_supervised.py --data DATA --out DIR --labelled 5,10

BRCA-M2C: of the training tiles n are labelled, the others are unlabelled tissue; figures are of the
last weights at the score threshold 0.5 on the validation tiles, so that nothing is chosen on what
is reported. Starts from random weights, or from a given backbone or model. Each run is one JSON
line in DIR/results.jsonl; runs that are there already are not made again.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import detect_images, score_tables
from muse_core.evaluate.points_folder import AnnotatedImage, image_paths, read_points_folder
from muse_core.finetune import FinetuneConfig, LabelSet, finetune
from muse_core.finetune.config import ConsistencyConfig, UnlabeledSource, ViewConfig
from muse_core.models.checkpoint import load_model
from muse_core.nuclei import ClassScheme

MPP = 0.5
THRESHOLD = 0.5


def split(names: list[str], n: int, seed: int) -> tuple[list[str], list[str]]:
    """Labelled and unlabelled tiles; more labelled tiles include the fewer ones."""
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    return order[:n], order[n:]


def unlabelled_folder(tiles: Path, names: list[str], folder: Path) -> Path:
    """The images of some tiles, without their points."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in image_paths(tiles):
        if path.stem in names:
            shutil.copy(path, folder)
    return folder


def run(config: FinetuneConfig, val: tuple[AnnotatedImage, ...]) -> dict[str, object]:
    """Train and score."""
    begin = time.perf_counter()
    finetune(config)
    seconds = time.perf_counter() - begin
    model = load_model(config.out)
    tables = detect_images(model, val, DetectConfig(device=config.device, min_score=THRESHOLD))
    report = score_tables(val, tables, ClassScheme.from_json(model.card.classes).names).to_json()
    return {k: report[k] for k in ("f_det", "f_avg", "f_class")} | {"seconds": round(seconds)}


def main(
    data: Annotated[Path, typer.Option(help="Folder with brcam2c.")],
    out: Annotated[Path, typer.Option(help="Folder for models and results.")],
    labelled: Annotated[str, typer.Option(help="Numbers of labelled tiles.")] = "5,10,20,40,80",
    seeds: Annotated[int, typer.Option(help="Seeds of tiles and training.")] = 3,
    steps: Annotated[int, typer.Option(help="Optimiser steps of a run.")] = 1000,
    batch: Annotated[int, typer.Option(help="Crops in a step.")] = 8,
    crop_px: Annotated[int, typer.Option(help="Side of a crop.")] = 256,
    base: Annotated[Path | None, typer.Option(help="Model or backbone; else random.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
) -> None:
    """Run what is missing and print a line for each run."""
    out.mkdir(parents=True, exist_ok=True)
    results = out / "results.jsonl"
    done = [json.loads(line) for line in results.open()] if results.exists() else []
    tiles = data / "brcam2c" / "train"
    names = [path.stem for path in image_paths(tiles)]
    val = read_points_folder(data / "brcam2c" / "val", MPP)
    start = base.stem if base else "random"
    for n in map(int, labelled.split(",")):
        for seed in range(seeds):
            chosen, rest = split(names, n, seed)
            for weight in (0.0, 1.0) if rest else (0.0,):
                what: dict[str, object] = {
                    "labelled": n,
                    "seed": seed,
                    "consistency": weight,
                    "start": start,
                    "steps": steps,
                    "batch": batch,
                    "crop_px": crop_px,
                }
                if any(what.items() <= old.items() for old in done):
                    continue
                unlabelled = unlabelled_folder(tiles, rest, out / "unlabelled") if weight else None
                config = FinetuneConfig(
                    train=(LabelSet(tiles, MPP, names=tuple(chosen)),),
                    out=out / f"{start}-{n}-{seed}-{weight:g}.safetensors",
                    base=base,
                    mpp=MPP,
                    steps=steps,
                    batch=batch,
                    validate_every=max(1, steps // 4),
                    seed=seed,
                    device=device,
                    views=ViewConfig(crop_px=crop_px),
                    unlabeled=(UnlabeledSource(unlabelled, MPP),) if unlabelled else (),
                    consistency=ConsistencyConfig(weight=weight, unlabeled_share=0.5),
                )
                line = json.dumps(what | run(config, val))
                with results.open("a") as file:
                    file.write(line + "\n")
                typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
