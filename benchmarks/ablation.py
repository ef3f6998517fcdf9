"""Effect of pretraining: the small encoder with four initialisations, at equal budget.

    python benchmarks/ablation.py --data DATA --work WORK

Settings are for runs of minutes on a CPU, one thread each: two processes with different --seeds or
--arms can share a WORK and use two cores better than one process with two threads.
docs/benchmarks.md says how the settings were chosen. --epochs 200 is the bundled model's length; as
that takes an hour, --pretraining-seed 0 fine-tunes one such backbone with every seed, in a separate
WORK.

Arms: random weights; image loss only; image loss and NuLo; both without variation of the MPP.
Pretraining uses the images listed in recipes/pretraining_data.py, never the validation tiles.
Each backbone is evaluated on brcam2c/val: accuracy at annotated centres by kNN and by a linear
layer, and F avg after fine-tuning on a few training tiles (final weights, score threshold 0.5;
nothing is chosen on the reported tiles). With --semi also after fine-tuning on the same tiles with
the other training tiles as tissue without annotations. Results are appended to
WORK/results.jsonl; existing results are not computed again, so an interrupted run can be resumed.
--table prints means and standard deviations.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from pretraining_data import cut_rois
from small_encoder import ARCHITECTURE, small_pretraining

from muse_core.data.points_folder import image_paths, read_points_folder
from muse_core.detect import DetectConfig
from muse_core.evaluate.detection import detect_images, score_tables
from muse_core.evaluate.probe import ProbeFolders, probe_folders
from muse_core.evaluate.probe_config import ProbeConfig
from muse_core.finetune import FinetuneConfig, LabelSet, UnlabeledSource, finetune
from muse_core.finetune.config import ConsistencyConfig, ViewConfig
from muse_core.models.backbone import MuseBackbone
from muse_core.models.checkpoint import load_backbone, load_model
from muse_core.nuclei import ClassScheme
from muse_core.pretrain.config import PretrainConfig
from muse_core.pretrain.export import BACKBONE_NAME, export_backbone
from muse_core.pretrain.train import pretrain

MPP = 0.5
FINETUNE_CROP_PX = 160
ALL_TILES = 80
ARMS = ("random", "image", "image+nulo", "fixed-mpp")
SEMI = ", others unlabelled"
CONSISTENCY = ConsistencyConfig(weight=1.0)


def pretraining(arm: str, base: PretrainConfig) -> PretrainConfig:
    """Configuration of an arm's pretraining, all else equal."""
    if arm == "image":
        return dataclasses.replace(
            base, losses=dataclasses.replace(base.losses, nucleus_weight=0.0)
        )
    if arm == "fixed-mpp":
        return dataclasses.replace(base, views=dataclasses.replace(base.views, mpp=(MPP, MPP)))
    return base


def backbone_of(arm: str, base: PretrainConfig) -> Path:
    """The arm's backbone, pretrained if it does not exist yet."""
    config = pretraining(arm, base)
    if arm != "random":
        pretrain(config, on_progress=_every_50th(f"{arm} {config.seed}"))
    elif not (config.out / BACKBONE_NAME).is_file():
        config.out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        export_backbone(MuseBackbone(config.model), config.model, config, 0)
    return config.out / BACKBONE_NAME


def measure(task: str, backbone: Path, data: Path, steps: int, seed: int) -> dict[str, float]:
    """Figures of a task: a probing protocol, or a number of tiles to fine-tune on."""
    tiles, _, unlabelled = task.partition(" tiles")
    if tiles.isdigit():
        return fine_tuned(backbone, data, int(tiles), steps, seed, bool(unlabelled))
    return probe(backbone, data, task, seed)


def probe(backbone: Path, data: Path, protocol: str, seed: int) -> dict[str, float]:
    """Accuracy at annotated centres."""
    network, _ = load_backbone(backbone)
    report = probe_folders(
        network,
        MPP,
        ProbeFolders(data / "brcam2c" / "train", data / "brcam2c" / "val", MPP),
        ProbeConfig(protocol=protocol, seed=seed),
    )
    figures = report.to_json()
    return {"accuracy": figures["accuracy"], "balanced": figures["balanced_accuracy"]}


def fine_tuned(
    backbone: Path, data: Path, tiles: int, steps: int, seed: int, unlabelled: bool
) -> dict[str, float]:
    """F avg and F det after fine-tuning on a few tiles, the same for all arms."""
    folder = data / "brcam2c" / "train"
    names = [path.stem for path in image_paths(folder)]
    chosen = few_tiles(names, tiles, seed)
    out = backbone.with_name(f"tiles{tiles}-{seed}{'-semi' * unlabelled}.safetensors")
    config = FinetuneConfig(
        train=(LabelSet(folder, MPP, names=chosen),),
        out=out,
        base=backbone,
        model=ARCHITECTURE,
        steps=steps,
        validate_every=steps,
        seed=seed,
        views=ViewConfig(crop_px=FINETUNE_CROP_PX),
    )
    if unlabelled:
        others = images_without_points(folder, set(names) - set(chosen), out.with_suffix(""))
        config = dataclasses.replace(
            config, unlabeled=(UnlabeledSource(others, MPP),), consistency=CONSISTENCY
        )
    finetune(config)
    model = load_model(out)
    images = read_points_folder(data / "brcam2c" / "val", MPP)
    tables = detect_images(model, images, DetectConfig())
    report = score_tables(images, tables, ClassScheme.from_json(model.card.classes).names)
    figures = report.to_json()
    assert figures["f_avg"] is not None, "the folder has the model's classes"
    return {"f_avg": figures["f_avg"], "f_det": figures["f_det"]}


def few_tiles(names: list[str], tiles: int, seed: int) -> tuple[str, ...]:
    """The labelled tiles, the same for all arms."""
    return tuple(sorted(np.random.default_rng(seed).permutation(names)[:tiles].tolist()))


def images_without_points(tiles: Path, names: set[str], folder: Path) -> Path:
    """A folder with the images of some tiles only."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in image_paths(tiles):
        if path.stem in names:
            shutil.copy(path, folder)
    return folder


def table(results: list[dict[str, Any]]) -> Iterator[str]:
    """Means and standard deviations over seeds, then of gains, as Markdown rows."""
    values: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in results:
        for key in ("accuracy", "f_avg"):
            if key in row:
                values[row["arm"], f"{row['task']} {key}"][row["seed"]] = 100 * row[key]
    arms = [arm for arm in ARMS if any(arm == a for a, _ in values)]
    tasks = list(dict.fromkeys(task for _, task in values))
    yield from _rows("start", tasks, {arm: [values[arm, task] for task in tasks] for arm in arms})
    yield ""
    gains = {
        arm: [_differences(values[arm, task], values[ARMS[0], task]) for task in tasks]
        for arm in arms[1:]
    }
    yield from _rows("gain over random, seed by seed", tasks, gains)
    semi = [task for task in tasks if SEMI in task]
    if semi:
        yield ""
        gains = {
            arm: [_differences(values[arm, t], values[arm, t.replace(SEMI, "")]) for t in semi]
            for arm in arms
        }
        yield from _rows("gain over labelled tiles alone, seed by seed", semi, gains)


def main(
    data: Annotated[Path, typer.Option(help="Folder with brcam2c, consep20x, slides, unlabeled.")],
    work: Annotated[Path, typer.Option(help="Folder for ROIs, backbones and results.")],
    arms: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(ARMS),
    seeds: Annotated[str, typer.Option(help="Comma-separated.")] = "0,1,2",
    tiles: Annotated[str, typer.Option(help="Training tiles, comma-separated.")] = "5,10,40,80",
    epochs: Annotated[int, typer.Option(help="Epochs of pretraining, 512 samples each.")] = 28,
    pretraining_seed: Annotated[
        int | None,
        typer.Option(help="Seed of one pretraining for all seeds; random weights still vary."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that load.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
    finetune_steps: Annotated[int, typer.Option(help="Steps of fine-tuning; 0 skips it.")] = 250,
    semi: Annotated[bool, typer.Option("--semi", help="Also train with unlabelled tiles.")] = False,
    only_table: Annotated[bool, typer.Option("--table", help="Only print the table.")] = False,
) -> None:
    """Append one JSON line for each figure, then print the table."""
    torch.set_num_threads(threads)
    results = work / "results.jsonl"
    run = {
        "epochs": epochs,
        "finetune_steps": finetune_steps,
        "pretraining_seed": pretraining_seed,
    }
    done = [row for row in _read(results) if run.items() <= row.items()]
    if not only_table:
        rois = cut_rois(data, work / "rois")
        tasks = ["knn", "linear"]
        if finetune_steps:
            numbers = [int(n) for n in tiles.split(",")]
            tasks += [f"{n} tiles" for n in numbers]
            tasks += [f"{n} tiles{SEMI}" for n in numbers if semi and n < ALL_TILES]
        for seed in map(int, seeds.split(",")):
            for arm in arms.split(","):
                first = seed if pretraining_seed is None or arm == "random" else pretraining_seed
                folder = work / f"{arm}-{first}-{epochs}"
                base = small_pretraining(rois, folder, first, epochs, workers)
                backbone = backbone_of(arm, base)
                for task in tasks:
                    key = {"arm": arm, "seed": seed, "task": task} | run
                    if any(key.items() <= row.items() for row in done):
                        continue
                    figures = measure(task, backbone, data, finetune_steps, seed)
                    row = key | figures
                    done.append(row)
                    with results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                    print(json.dumps(row), flush=True)
    print("\n".join(table(done)))


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _rows(corner: str, tasks: list[str], cells: dict[str, list[dict[int, float]]]) -> Iterator[str]:
    yield f"| {corner} | " + " | ".join(tasks) + " |"
    yield "|---" * (len(tasks) + 1) + "|"
    for arm, of_tasks in cells.items():
        shown = [_mean_and_spread(list(of_seeds.values())) for of_seeds in of_tasks]
        yield f"| {arm} | " + " | ".join(shown) + " |"


def _differences(these: dict[int, float], those: dict[int, float]) -> dict[int, float]:
    """Gains per seed: the arms of a seed have the same tiles, so share much of their variation."""
    return {seed: these[seed] - those[seed] for seed in these.keys() & those.keys()}


def _mean_and_spread(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def _every_50th(name: str) -> Callable[[int, int, str], None]:
    def report(done: int, total: int, message: str) -> None:
        if done % 50 == 0 or done == total:
            print(f"{name}: {done} of {total}, {message}", file=sys.stderr, flush=True)

    return report


if __name__ == "__main__":
    typer.run(main)
