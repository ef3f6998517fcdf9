"""Simulated users who correct a few nuclei of tissue new to the model, and relearn at once.

    python benchmarks/relearn_users.py --data DATA --cache CACHE

The bundled model detects; nuclei that it finds within 3 microns of an annotated one get the
annotated class when the user comes to them. The model was trained on the positions, not the
classes, of CoNSeP, and on nothing of CRCHistoPhenotypes and OCELOT. A slide consists of all tiles
of a set, for OCELOT those of an organ. Settings were chosen on CoNSeP alone.

Users: "random" takes any nucleus, "queue" those the queue selects, five at a time, "region" ten
neighbours at a time at random places.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import typer

from muse_core.classify.class_head import read_class_head
from muse_core.classify.feature_folder import UNKNOWN
from muse_core.classify.relearn.asking import ask_next
from muse_core.classify.relearn.base import base_logits
from muse_core.classify.relearn.config import RelearnConfig
from muse_core.classify.relearn.examples import Examples
from muse_core.classify.relearn.learner import Learner, LearningResult
from muse_core.data.points_folder import read_points_folder
from muse_core.detect.resize import to_model_scale
from muse_core.errors import UserError
from muse_core.evaluate.matching import MATCH_RADIUS_UM, match_points
from muse_core.models.checkpoint import load_model
from muse_core.models.point_features import image_batch
from muse_core.models.registry import resolve_model

Rows = npt.NDArray[np.int64]
STEPS = (0, 5, 10, 20, 50, 100, 200)
AT_A_TIME, NEIGHBOURS, APART_UM = 5, 10, 5000.0


@dataclass(frozen=True)
class Set:
    """A set of tiles, its scale, and its names for the model's classes."""

    folder: str
    mpp: float
    names: dict[str, str]


SETS = {
    "consep": Set(
        "consep20x/train",
        0.55,
        {"lymphocyte": "inflammatory", "tumor": "epithelial", "stromal": "stromal"},
    ),
    "crchisto": Set(
        "crchisto/train",
        0.55,
        {"lymphocyte": "inflammatory", "tumor": "epithelial", "stromal": "fibroblast"},
    ),
    "ocelot": Set(
        "ocelot/train",
        0.1943,
        {"lymphocyte": "background_cell", "stromal": "background_cell", "tumor": "tumor"},
    ),
}


@dataclass(frozen=True)
class Tissue:
    """Nuclei found and annotated: features (N, D), xy (N, 2) microns, tile and class (N,)."""

    features: npt.NDArray[np.float16]
    xy: npt.NDArray[np.float64]
    tile: npt.NDArray[np.str_]
    classes: npt.NDArray[np.str_]

    def take(self, which: npt.NDArray[np.bool_]) -> Tissue:
        """The nuclei selected by a mask."""
        return Tissue(self.features[which], self.xy[which], self.tile[which], self.classes[which])


def nuclei_of(data: Path, kind: Set, model: str) -> Tissue:
    """Detect in every tile, and match with the annotations."""
    network = load_model(resolve_model(model))
    parts = []
    for number, tile in enumerate(read_points_folder(data / kind.folder, kind.mpp)):
        rgb, scale_x, scale_y = to_model_scale(tile.image, tile.mpp, network.card.mpp)
        with torch.inference_mode():
            batch = image_batch([rgb], torch.device("cpu"))
            found = network.predict(batch, features=True)[0]
        xy = found.xy * [scale_x, scale_y]
        pairs = match_points(xy, tile.xy, MATCH_RADIUS_UM / tile.mpp)
        if not len(pairs) or found.features is None:
            continue
        i, j = pairs.T
        parts.append(
            Tissue(
                found.features[i],
                xy[i] * tile.mpp + [number * APART_UM, 0],
                np.full(len(i), tile.name),
                np.array(tile.class_names)[j],
            )
        )
    fields = ("features", "xy", "tile", "classes")
    return Tissue(*(np.concatenate([getattr(p, f) for p in parts]) for f in fields))


class User:
    """A simulated user with a slide."""

    def __init__(self, tissue: Tissue, kind: Set, model: str, config: RelearnConfig) -> None:
        head = read_class_head(resolve_model(model))
        self.names = tuple(sorted({*tissue.classes.tolist(), *kind.names.values()}))
        target = [self.names.index(kind.names[name]) for name in head.class_names]
        given = np.full(len(tissue.features), UNKNOWN, np.uint8)
        base = base_logits(
            head.logits(tissue.features), given, target, len(self.names), config.new_class_offset
        )
        self.tissue, self.seconds = tissue, [0.0]
        self.true = np.array([self.names.index(name) for name in tissue.classes])
        # One micron is a pixel here.
        self.learner = Learner(tissue.features, base, self.names, 1.0, config)
        self.nothing = self.learner.learn(self._examples(np.zeros(0, np.int64)))

    def learn(self, asked: Rows) -> LearningResult:
        """The displayed classes after these corrections."""
        begin = time.perf_counter()
        try:
            result = self.learner.learn(self._examples(asked))
            result.predictor.predict()
        except UserError:  # one class only so far
            result = self.nothing
        self.seconds.append(time.perf_counter() - begin)
        return result

    def accuracy(self, result: LearningResult, asked: Rows) -> float:
        """Accuracy on the nuclei nobody has looked at."""
        rest = np.ones(len(self.true), dtype=bool)
        rest[asked] = False
        found = result.predictor.predict()
        assert found is not None
        return float((found.classes == self.true)[rest].mean())

    def _examples(self, asked: Rows) -> Examples:
        return Examples(asked, self.true[asked], self.tissue.xy[asked])

    def random(self, count: int, rng: np.random.Generator) -> Rows:
        """Random nuclei."""
        return rng.choice(len(self.true), count, replace=False)

    def region(self, count: int, rng: np.random.Generator) -> Rows:
        """Neighbours at random places."""
        asked: list[int] = []
        while len(asked) < count:
            away = np.hypot(*(self.tissue.xy - self.tissue.xy[rng.integers(len(self.true))]).T)
            near = [i for i in np.argsort(away)[:NEIGHBOURS].tolist() if i not in asked]
            asked += near
        return np.array(asked[:count])

    def queue(self, count: int, rng: np.random.Generator) -> Rows:
        """Nuclei selected by the queue, given what was learnt up to then."""
        asked = np.zeros(0, np.int64)
        result = self.nothing
        # Some of the slide at a time, which makes one seed differ from another.
        while len(asked) < count:
            some = np.setdiff1d(rng.choice(len(self.true), len(self.true) // 3, False), asked)
            found = result.predictor.predict(some)
            assert found is not None
            standard = result.predictor.standard
            order = ask_next(
                standard.apply(self.tissue.features[some]),
                1 - found.margin,
                AT_A_TIME,
            )
            asked = np.append(asked, some[order[: min(AT_A_TIME, count - len(asked))]])
            result = self.learn(asked)
        return asked


def full_labels(user: User) -> float:
    """Accuracy on a third of the tiles after learning from all others, mean over the thirds."""
    tiles = np.unique(user.tissue.tile)
    third = dict(zip(tiles, np.random.default_rng(0).integers(3, size=len(tiles)), strict=True))
    part = np.array([third[t] for t in user.tissue.tile])
    right = []
    for number in range(3):
        known = np.flatnonzero(part != number)
        result = user.learner.learn(Examples(known, user.true[known], user.tissue.xy[known]))
        found = result.predictor.predict(np.flatnonzero(part == number))
        assert found is not None
        right.append((found.classes == user.true[part == number]).mean())
    return float(np.mean(right))


def slides_of(name: str, tissue: Tissue, data: Path) -> dict[str, Tissue]:
    """Batch that a user corrects at a time."""
    if name != "ocelot":
        return {name: tissue.take(tissue.classes != "unclassified")}
    tiles = pd.read_csv(data / "ocelot" / "tiles.csv", dtype=str)
    organ = dict(zip(tiles["image"], tiles["organ"], strict=True))
    of = np.array([organ[t] for t in tissue.tile])
    return {f"{name} {o}": tissue.take(of == o) for o in sorted(set(of))}


def main(
    data: Annotated[Path, typer.Option(help="Folder of the sets.")],
    cache: Annotated[Path, typer.Option(help="Folder that caches detections.")],
    sets: Annotated[str, typer.Option(help="Sets to use.")] = "consep,crchisto,ocelot",
    model: Annotated[str, typer.Option(help="Name or file.")] = "muse-small-breast",
    method: Annotated[str, typer.Option(help="logistic or knn.")] = "logistic",
    seeds: Annotated[int, typer.Option(help="Number of users of each kind.")] = 5,
    first_seed: Annotated[int, typer.Option(help="Seed of the first user.")] = 0,
) -> None:
    """Print a JSON line per user, then tables of means."""
    cache.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in sets.split(","):
        path = cache / f"{name}-{Path(model).stem}.npz"
        if not path.exists():
            tissue = nuclei_of(data, SETS[name], model)
            np.savez(path, **{k: getattr(tissue, k) for k in tissue.__dataclass_fields__})
        with np.load(path) as kept:
            tissue = Tissue(*(kept[k] for k in ("features", "xy", "tile", "classes")))
        for slide, part in slides_of(name, tissue, data).items():
            user = User(part, SETS[name], model, RelearnConfig(method=method))
            full = full_labels(user)
            typer.echo(json.dumps({"slide": slide, "nuclei": len(part.xy), "full": round(full, 4)}))
            ways: dict[str, Callable[[int, np.random.Generator], Rows]] = {
                "random": user.random, "queue": user.queue, "region": user.region
            }  # fmt: skip
            for way, ask in ways.items():
                for seed in range(first_seed, first_seed + seeds):
                    user.seconds = [0.0]
                    # The first corrections of many are the same as with fewer.
                    asked = ask(max(STEPS), np.random.default_rng(seed))
                    for n in STEPS:
                        right = user.accuracy(user.learn(asked[:n]), asked[:n])
                        rows.append((name, slide, way, seed, n, right, max(user.seconds)))
                    typer.echo(json.dumps({"slide": slide, "way": way, "seed": seed}))
            rows.append((name, slide, "all labels", 0, 0, full, 0.0))
    found = pd.DataFrame(
        rows, columns=["set", "slide", "way", "seed", "corrections", "right", "seconds"]
    )
    table = found.pivot_table(index=["set", "way"], columns="corrections", values="right")
    typer.echo(table.round(3).to_string())
    spread = found.groupby(["set", "way", "corrections"])["right"].std().unstack()
    typer.echo(f"standard deviation\n{spread.round(3).to_string()}")
    typer.echo(f"slowest relearn {found['seconds'].max():.2f} s")


if __name__ == "__main__":
    typer.run(main)
