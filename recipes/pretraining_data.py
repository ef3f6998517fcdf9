"""The unlabelled images for pretraining, and the sources of their scales.

Never the validation tiles. For images without a scale it was estimated from the size of their
nuclei.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from muse_core.detect import DetectConfig, Detector
from muse_core.models.checkpoint import load_model
from muse_core.models.registry import resolve_model
from muse_core.pretrain.roi_manifest import RoiSettings, open_roi_folder
from muse_core.pretrain.rois import cut_slide
from muse_core.slides import Region, open_slide

# Patterns under the data folder, with microns per pixel if the files do not state them.
SOURCES: tuple[tuple[str, float | None], ...] = (
    ("brcam2c/train/images/*.png", 0.5),
    ("consep20x/train/images/*.png", 0.55),
    ("slides/CMU-1-Small-Region.svs", None),
    ("unlabeled/hgsc_*.jpg", 0.25),
    ("unlabeled/tiatoolbox_target.png", 0.25),
    ("unlabeled/prostate_slide.jpeg", 0.5),
)


def cut_rois(data: Path, out: Path, device: str = "auto", limit: int | None = None) -> Path:
    """Cut the ROIs of all sources; existing ones are kept.

    Args:
        data: Folder with brcam2c, consep20x, slides and unlabeled; missing ones are skipped.
        out: Folder for the ROIs.
        device: Device on which nuclei are detected.
        limit: Files per pattern; None takes all.
    """
    detector = Detector(load_model(resolve_model(None)), DetectConfig(device=device))
    manifest = open_roi_folder(out, RoiSettings(nuclei=detector.card.name))

    def find(rgb: npt.NDArray[np.uint8], mpp: float, region: Region) -> npt.NDArray[np.float32]:
        xy: npt.NDArray[np.float32] = detector.detect_image(rgb, mpp)[["x", "y"]].to_numpy(
            "float32"
        )
        return xy

    for pattern, mpp in SOURCES:
        for path in sorted(data.glob(pattern))[:limit]:
            with open_slide(path, mpp=mpp) as slide:
                manifest = cut_slide(slide, out, manifest, find) or manifest
    return out
