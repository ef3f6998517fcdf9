"""Trains the bundled model ``muse-small-breast``: one command, some two hours on one CPU core.

    python recipes/muse_small_breast.py --data DATA --out muse-small-breast.safetensors

First the backbone is pretrained without labels on the images listed in pretraining_data.py, unless
--backbone names one. Then DATA must contain the points-folders ``brcam2c/train``, ``brcam2c/val``
(0.5 um/px) and ``consep20x/train`` (0.55 um/px), and ``slides/CMU-1-Small-Region.svs``. Detection
is trained on both label sets, classes on BRCAM2C alone. Nucleus-free rectangles of the slide
(keratin, debris, glass) are hard negatives; the rectangle x 1290, y 1250, w 200, h 400, on which
the model is evaluated, is not among them, though it is among the pixels used in pretraining.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from pretraining_data import cut_rois
from running import run_recipe
from small_encoder import ARCHITECTURE, small_pretraining

from muse_core.finetune import FinetuneConfig, LabelSet, Listener, finetune
from muse_core.finetune.config import LossConfig, ViewConfig
from muse_core.pretrain.export import BACKBONE_NAME
from muse_core.pretrain.train import pretrain
from muse_core.slides import Region, open_slide

NEGATIVES = Path(__file__).with_name("muse_small_breast_negatives.csv")
VIEWS = ViewConfig(
    zoom=(0.8, 1.25), stain_shift=0.02, stain_vector_noise=0.04, blur_share=0.2, noise=0.03
)
LOSSES = LossConfig(classes=1.0, label_smoothing=0.05)
DESCRIPTION = (
    "Small general model for H&E at 0.5 um/px. Detection learned from breast and colon, classes "
    "(lymphocyte, tumor, stromal) from breast. Research use only."
)


def cut_negatives(slide_path: Path, folder: Path) -> float:
    """Write the nucleus-free rectangles as a points-folder; returns its microns per pixel."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "points").mkdir(exist_ok=True)
    with open_slide(slide_path) as slide:
        for i, row in enumerate(pd.read_csv(NEGATIVES).itertuples()):
            pixels = slide.read(Region(row.x, row.y, row.w, row.h))
            Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
            (folder / "points" / f"{i}.csv").write_text("x,y,class\n")
        return slide.require_mpp()


def training_sets(
    data: Path,
    negatives: Path,
    negatives_mpp: float,
    names: tuple[str, ...] | None = None,
    colon: bool = True,
) -> tuple[LabelSet, ...]:
    """The training data.

    Args:
        data: As above.
        negatives: Points-folder of the rectangles without nuclei.
        negatives_mpp: Its microns per pixel.
        names: The BRCAM2C tiles to train on; all if None.
        colon: Whether CoNSeP is included; benchmarks that need unseen tissue leave it out.
    """
    breast = LabelSet(data / "brcam2c" / "train", mpp=0.5, weight=0.78, names=names)
    places = LabelSet(data / "consep20x" / "train", mpp=0.55, weight=0.14, classes_count=False)
    none = LabelSet(negatives, mpp=negatives_mpp, weight=0.08)
    return (breast, places, none) if colon else (breast, none)


def pretrained(data: Path, work: Path, seed: int, workers: int) -> Path:
    """Pretrain the backbone in a folder, or resume; returns its file."""
    rois = cut_rois(data, work / "rois")
    config = small_pretraining(rois, work / "pretraining", seed, workers=workers)
    pretrain(config, on_progress=_report)
    return config.out / BACKBONE_NAME


def main(
    data: Annotated[Path, typer.Option(help="Folder with brcam2c, consep20x and slides.")],
    out: Annotated[Path, typer.Option(help="Model file to write.")],
    backbone: Annotated[Path | None, typer.Option(help="Backbone to start from.")] = None,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 3000,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    colon: Annotated[bool, typer.Option(help="Train detection on CoNSeP too.")] = True,
    workers: Annotated[int, typer.Option(help="Loader processes; useful on a GPU.")] = 0,
) -> None:
    """Train the bundled model."""
    # Beside the model, so that an interrupted run finds the same folder and resumes.
    negatives = out.parent / "demo-slide-negatives"
    mpp = cut_negatives(data / "slides" / "CMU-1-Small-Region.svs", negatives)
    config = FinetuneConfig(
        train=training_sets(data, negatives, mpp, colon=colon),
        val=LabelSet(data / "brcam2c" / "val", mpp=0.5),
        out=out,
        base=backbone or pretrained(data, out.parent, seed, workers),
        name="muse-small-breast" if colon else "muse-small-breast-only",
        description=DESCRIPTION,
        model=ARCHITECTURE,
        steps=steps,
        validate_every=250,
        seed=seed,
        workers=workers,
        views=VIEWS,
        losses=LOSSES,
    )
    listener = Listener(
        on_progress=_report,
        on_metrics=print,
    )
    result = finetune(config, listener)
    print(result)


def _report(done: int, total: int, text: str) -> None:
    print(f"{done}/{total} {text}", end="\r", flush=True)


if __name__ == "__main__":
    run_recipe(main)
