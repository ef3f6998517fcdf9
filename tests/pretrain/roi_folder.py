"""A folder of small ROIs, made on the fly, with nuclei where the discs are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from muse_core.pretrain.config import LossesConfig, PretrainConfig, ScheduleConfig, ViewsConfig
from muse_core.pretrain.roi_manifest import RoiSettings, open_roi_folder
from muse_core.pretrain.rois import cut_slide
from muse_core.slides import Region, open_slide

from ..job_inputs import NARROW, write_slide


def dark_spots(rgb: npt.NDArray[np.uint8], mpp: float, region: Region) -> npt.NDArray[np.float32]:
    """Centres of the discs, like a detector of nuclei."""
    labels, n = ndimage.label(rgb[:, :, 0] < 150)
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, n + 1))).reshape(-1, 2)
    return (centres[:, ::-1] + 0.5).astype(np.float32)


def write_rois(folder: Path, n_slides: int = 2) -> Path:
    """ROIs of 256 px at 0.25 um/px."""
    settings = RoiSettings(roi_px=256, mpp=0.25)
    manifest = open_roi_folder(folder, settings)
    for i in range(n_slides):
        path = write_slide(folder.parent / f"slide{i}.png", 512, 256, seed=i)
        with open_slide(path, mpp=0.25) as slide:
            longer = cut_slide(slide, folder, manifest, dark_spots)
        assert longer is not None
        manifest = longer
    return folder


def tiny_config(rois: Path, out: Path) -> PretrainConfig:
    """A run of a few seconds on a CPU."""
    return PretrainConfig(
        rois=rois,
        out=out,
        model=NARROW,
        views=ViewsConfig(
            mpp=(0.25, 0.6), global_px=64, local_px=32, n_global=2, n_local=2, field_um=40
        ),
        losses=LossesConfig(
            prototypes=32, hidden_channels=16, bottleneck_channels=8, head_batch_norm=True
        ),
        schedule=ScheduleConfig(epochs=2, epoch_samples=12, batch=4, warmup_epochs=1),
        device="cpu",
        precision="float32",
        workers=0,
        checkpoint_steps=2,
        log_steps=1,
    )
