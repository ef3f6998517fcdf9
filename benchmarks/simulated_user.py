"""A simulated user who corrects a few fields of tissue new to the bundled model and fine-tunes.

    python benchmarks/simulated_user.py --data DATA --mode adapt

Tiles of CoNSeP are placed side by side as one slide. In k of them a square of 250 px is reviewed:
nuclei that the model finds there are confirmed, corrected, deleted, and missing ones added,
according to the annotation. The squares are placed at random, but so that each class has its ten
nuclei, as a user would. The model is fine-tuned on that store as a user would do it, with holdout
fields, and scored on tiles that it has not seen. The bundled model was trained on the positions of
CoNSeP's nuclei. A model to which this tissue is new is made by the same recipe without it, and
given by --model:

    python recipes/muse_small_breast.py --data DATA --out breast-only.safetensors --no-colon
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer
from PIL import Image

from muse_core.data.points_folder import AnnotatedImage, class_names_in, read_points_folder
from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import detect_images, score_tables
from muse_core.evaluate.matching import MATCH_RADIUS_UM, match_points
from muse_core.finetune.holdout.fields import renamed
from muse_core.finetune.presets import resolved
from muse_core.jobs import Done, FinetuneJob, run_job
from muse_core.models.checkpoint import load_model
from muse_core.models.muse_model import MuseModel
from muse_core.models.registry import resolve_model
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import AnnotationStore, identify_slide

MPP = 0.55
FIELD_PX = 250
RIM_PX = 6
SAME_CLASS = {"lymphocyte": "inflammatory", "tumor": "epithelial", "stromal": "stromal"}
POOL = 9
"""Tiles from which fields are drawn; the others are for evaluation."""


def lay_out(tiles: Sequence[AnnotatedImage], folder: Path) -> Path:
    """One slide of several tiles, side by side."""
    path = folder / "slide.png"
    Image.fromarray(np.concatenate([t.image for t in tiles], axis=1)).save(path)
    return path


def correct(
    store: AnnotationStore,
    tile: AnnotatedImage,
    predicted: pd.DataFrame,
    left: float,
    corner: tuple[float, float],
) -> None:
    """Review a square of a tile whose left edge is at ``left`` on the slide."""
    x0, y0 = corner
    square = [(x0, y0), (x0 + FIELD_PX, y0), (x0 + FIELD_PX, y0 + FIELD_PX), (x0, y0 + FIELD_PX)]

    def inside(xy: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        x, y = xy[:, 0], xy[:, 1]
        return (x >= x0) & (x < x0 + FIELD_PX) & (y >= y0) & (y < y0 + FIELD_PX)

    found, true = predicted[["x", "y"]].to_numpy(), tile.xy
    pairs = dict(match_points(found, true, MATCH_RADIUS_UM / tile.mpp).tolist())
    ids = store.insert(predicted.assign(x=predicted["x"] + left)).tolist()
    seen = inside(found)
    store.delete([ids[i] for i in np.flatnonzero(seen) if i not in pairs])
    for i, j in pairs.items():
        if predicted["class_name"].iloc[i] != tile.class_names[j]:
            store.set_class([ids[i]], tile.class_names[j])
    for j in np.flatnonzero(inside(true)):
        if j not in pairs.values():
            store.add(float(true[j, 0]) + left, float(true[j, 1]), tile.class_names[j])
    store.add_region([(x + left, y) for x, y in square], reviewed=True)


@dataclass(frozen=True, eq=False)
class Field:
    """A square to correct: its tile and its corner in the tile."""

    tile: AnnotatedImage
    corner: tuple[float, float]

    def counts(self, classes: Sequence[str]) -> list[int]:
        """Nuclei of each class, except in a margin that the field's border may cut."""
        low = np.asarray(self.corner) + RIM_PX
        inside = ((self.tile.xy >= low) & (self.tile.xy < low + FIELD_PX - 2 * RIM_PX)).all(axis=1)
        names = np.array(self.tile.class_names)[inside]
        return [int((names == name).sum()) for name in classes]


def choose_fields(
    pool: Sequence[AnnotatedImage], k: int, classes: Sequence[str], seed: int
) -> list[Field]:
    """Draw k squares, each in another tile, until the oldest has ten nuclei of each class."""
    rng = np.random.default_rng(seed)
    for _ in range(5000):
        fields = []
        for i in rng.permutation(len(pool))[:k]:
            height, width = pool[i].image.shape[:2]
            x, y = rng.integers(width - FIELD_PX), rng.integers(height - FIELD_PX)
            fields.append(Field(pool[i], (float(x), float(y))))
        # The oldest field is always used for training.
        if min(sum(f.counts(classes)[c] for f in fields) for c in range(len(classes))) >= 10:
            present = np.array(fields[0].counts(classes)) > 0
            if present.all():
                return fields
    raise SystemExit(f"No {k} fields of the pool hold ten nuclei of each class.")


def make_store(fields: Sequence[Field], base: MuseModel, scheme: ClassScheme, folder: Path) -> Path:
    """A slide and its store with the corrected fields."""
    tiles = [field.tile for field in fields]
    slide = lay_out(tiles, folder)
    tables = renamed(detect_images(base, tiles, DetectConfig(device="cpu")), SAME_CLASS)
    path = folder / "slide.muse"
    with AnnotationStore.create(path, identify_slide(slide), scheme) as store:
        left = 0
        for field, table in zip(fields, tables, strict=True):
            correct(store, field.tile, table, left, field.corner)
            left += field.tile.image.shape[1]
    return path


def score(
    model: MuseModel,
    tiles: Sequence[AnnotatedImage],
    classes: Sequence[str],
    same: dict[str, str],
) -> dict[str, object]:
    """Figures on tiles, at the model's own threshold, with its classes renamed."""
    tables = renamed(detect_images(model, tiles, DetectConfig(device="cpu")), same)
    known = tuple(dict.fromkeys([*classes, *(name for t in tables for name in t["class_name"])]))
    report = score_tables(tiles, tables, known).over(classes).to_json()
    return {k: report[k] for k in ("f_det", "f_avg", "f_class")}


def main(
    data: Annotated[Path, typer.Option(help="Folder with consep20x.")],
    model: Annotated[
        str, typer.Option(help="Name or file of the initial model.")
    ] = "muse-small-breast",
    mode: Annotated[str, typer.Option(help="adapt or full.")] = "adapt",
    fields: Annotated[str, typer.Option(help="Numbers of corrected fields.")] = "1,2,4,8",
    draws: Annotated[int, typer.Option(help="Number of draws of tiles and fields.")] = 3,
    renamed_classes: Annotated[
        bool,
        typer.Option(help="Map the model's classes to those of the same meaning."),
    ] = True,
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps; default: those of the mode.")
    ] = None,
) -> None:
    """Print one JSON line per run, then a table of means."""
    tiles = read_points_folder(data / "consep20x" / "train", MPP)
    classes = class_names_in(tiles)
    base = load_model(resolve_model(model))
    same = SAME_CLASS if renamed_classes else {}
    rows: list[dict[str, object]] = []
    for draw in range(draws):
        order = np.random.default_rng(draw).permutation(len(tiles))
        pool, others = [tiles[i] for i in order[:POOL]], [tiles[i] for i in order[POOL:]]
        rows.append({"draw": draw, "k": 0, "seconds": 0.0} | score(base, others, classes, same))
        typer.echo(json.dumps(rows[-1]))
        for k in map(int, fields.split(",")):
            with TemporaryDirectory() as scratch:
                folder = Path(scratch)
                chosen = choose_fields(pool, k, classes, draw)
                store = make_store(chosen, base, ClassScheme.from_names(classes), folder)
                out = folder / "tuned.safetensors"
                settings: dict[str, object] = {
                    "stores": [{"store": store, "mpp": MPP}],
                    "out": out,
                    "base": model,
                    "mode": mode,
                    "class_map": same,
                    "seed": draw,
                    "device": "cpu",
                }
                if steps is not None:
                    settings["steps"] = steps
                begin = time.perf_counter()
                last = run_job(FinetuneJob(resolved(settings)), lambda event: None)
                seconds = time.perf_counter() - begin
                if not isinstance(last, Done):
                    typer.echo(json.dumps({"draw": draw, "k": k, "refused": last.message}))
                    continue
                figures = score(load_model(out), others, classes, {})
            rows.append({"draw": draw, "k": k, "seconds": round(seconds, 1)} | figures)
            typer.echo(json.dumps(rows[-1]))
    show = pd.DataFrame(rows).groupby("k")[["f_det", "f_avg", "seconds"]]
    typer.echo(show.agg(["mean", "min", "max"]).round(3).to_string())


if __name__ == "__main__":
    typer.run(main)
