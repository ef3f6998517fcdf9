"""Pretrains the thin network of ``muse-small`` on the pixels of all sets, without their classes.

    python recipes/thin_pretraining.py --data DATA --work WORK

The pixels are those of the training images of muse_small.py's first stage, without a tile of the
three hospitals that benchmarks/cross_validate.py leaves out; nuclei are the annotated ones.
Settings are those of small_encoder.py.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer

sys.path.insert(0, str(Path(__file__).parent))

from label_sets import BREAST, MPP, SETS, Prepared, prepare
from muse_small import BREAST_SITES
from running import run_recipe
from small_encoder import EPOCHS, small_pretraining

from muse_core.data.points_folder import AnnotatedImage, image_paths, read_points_folder
from muse_core.models.config import THIN
from muse_core.pretrain.config import PretrainConfig
from muse_core.pretrain.export import BACKBONE_NAME
from muse_core.pretrain.roi_manifest import RoiSettings, open_roi_folder
from muse_core.pretrain.rois import FindNuclei, cut_slide
from muse_core.pretrain.train import pretrain
from muse_core.slides import Region, open_slide


def main(
    data: Annotated[Path, typer.Option(help="Folder with the sets.")],
    work: Annotated[Path, typer.Option(help="Folder for prepared sets, ROIs and the run.")],
    epochs: Annotated[int, typer.Option(help="Epochs of 512 samples each.")] = EPOCHS,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that load.")] = 0,
) -> None:
    """Pretrain or resume; print the path of the backbone."""
    print(pretrained(prepare(data, work / "sets"), work, epochs, seed, workers))


def pretrained(prepared: Prepared, work: Path, epochs: int, seed: int, workers: int) -> Path:
    """Return the backbone's file; an interrupted run is resumed, a finished one is kept.

    Args:
        prepared: The sets.
        work: Folder for ROIs and the run.
        epochs: Epochs of 512 samples each.
        seed: Seed of all random numbers.
        workers: Processes that load.
    """
    config = thin_pretraining(work / "rois", work / f"thin-{epochs}-{seed}", seed, epochs, workers)
    backbone = config.out / BACKBONE_NAME
    if not backbone.is_file():
        cut_annotated(prepared, config.rois)
        pretrain(config, on_progress=_report)
    return backbone


def thin_pretraining(
    rois: Path, out: Path, seed: int, epochs: int = EPOCHS, workers: int = 0
) -> PretrainConfig:
    """The configuration of the run; arguments as for small_pretraining."""
    return dataclasses.replace(
        small_pretraining(rois, out, seed, epochs, workers),
        name="muse-pretrained-thin",
        model=THIN.backbone,
    )


def cut_annotated(prepared: Prepared, out: Path) -> None:
    """Cut the ROIs of annotated tiles, with the annotated nuclei.

    Args:
        prepared: The sets; no tile of BREAST_SITES is cut.
        out: Folder for the ROIs; existing ones are kept.
    """
    manifest = open_roi_folder(out, RoiSettings(mpp=MPP))
    for name in SETS:
        if name == BREAST:
            continue
        folder, names = prepared.folder(name), prepared.split(name, BREAST_SITES).learn
        paths = {path.stem: path for path in image_paths(folder)}
        for image in read_points_folder(folder, MPP, names):
            with open_slide(paths[image.name], mpp=MPP) as slide:
                manifest = cut_slide(slide, out, manifest, _places_of(image)) or manifest


def _places_of(image: AnnotatedImage) -> FindNuclei:
    """The annotated nuclei of a ROI, in its pixels; the image has the scale of the ROIs."""

    def find(rgb: npt.NDArray[np.uint8], mpp: float, region: Region) -> npt.NDArray[np.float32]:
        xy = np.asarray(image.xy, dtype=np.float32).reshape(-1, 2)
        corner = np.array([region.x, region.y], dtype=np.float32)
        return xy[region.contains(*xy.T)] - corner

    return find


def _report(done: int, total: int, text: str) -> None:
    if done % 50 == 0:
        print(f"{done}/{total} {text}", flush=True)


if __name__ == "__main__":
    run_recipe(main)
