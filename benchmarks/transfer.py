"""Detection on left-out data sets, and tumour or not on left-out patients.

    python benchmarks/transfer.py --data DATA --work WORK --without consep,monuseg
    python benchmarks/transfer.py --data DATA --work WORK --model muse-small

With --without, the first stage of muse_small.py is trained without these sets and scored on all
their tiles; the breast set is always left out. With --model an existing model is scored: on the
holdout of label_sets.py or, with --unseen, on all tiles except these. OCELOT's holdout patients
show how well tumour cells are distinguished from all others: F1 of "tumor" and of
"background_cell" within 3 microns. The threshold of the first stage is chosen on holdout tiles of
the sets that it is trained on. Prints one JSON line per set.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

import muse_small
from label_sets import BREAST, MPP, SETS, Prepared, prepare
from operating_point import best_threshold_over

from muse_core.data.points_folder import AnnotatedImage, read_points_folder
from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import detect_images, score_tables
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.models.registry import resolve_model

TUMOUR_OR_NOT = {"tumor": "tumor", "lymphocyte": "background_cell", "stromal": "background_cell"}


def main(
    data: Annotated[Path, typer.Option(help="Folder with the sets.")],
    work: Annotated[Path, typer.Option(help="Folder for sets and models.")],
    without: Annotated[str, typer.Option(help="Comma-separated sets to leave out.")] = "",
    model: Annotated[
        str | None, typer.Option(help="Score this model instead of training one.")
    ] = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="The model has seen none of the sets.")
    ] = False,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 1400,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that cut crops.")] = 1,
) -> None:
    """Print a JSON line per set."""
    prepared = prepare(data, work / "sets")
    left_out = [BREAST, *filter(None, without.split(","))]
    threshold = None
    if model:
        network = load_model(resolve_model(model))
    else:
        network = load_model(_trained(prepared, work, left_out, steps, seed, workers))
        learnt = [name for name in SETS if name not in left_out]
        threshold, _ = best_threshold_over(network, prepared, learnt)
    everything = list(SETS) if unseen else [] if model else left_out
    for name in SETS:
        split = prepared.split(name)
        names = split.learn + split.threshold if name in everything else split.report
        if names:
            images = read_points_folder(prepared.folder(name), MPP, names)
            print(json.dumps({"set": name, **_score(network, threshold, images)}), flush=True)


def _trained(
    prepared: Prepared, work: Path, left_out: Sequence[str], steps: int, seed: int, workers: int
) -> Path:
    """The first stage without some sets; without only the breast set it is the recipe's own."""
    suffix = "".join(f"-without-{name}" for name in left_out if name != BREAST)
    path = work / f"first-{steps}-{seed}{suffix}.safetensors"
    config = muse_small.first_stage(prepared, muse_small.Stage(path, steps, seed, workers))
    folders = {prepared.folder(name) for name in left_out}
    train = tuple(s for s in config.train if s.folder not in folders)
    muse_small.run(dataclasses.replace(config, train=train))
    return path


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
