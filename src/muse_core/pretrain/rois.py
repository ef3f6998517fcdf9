"""Cut slides into ROIs with their nuclei, so that training reads small files. No torch.

A ROI is a TIFF of JPEG tiles, which any viewer opens; reading a random crop decodes only the tiles
it touches.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from muse_core.files import make_folder, replacing
from muse_core.nuclei.store import SlideChangedError, identify_slide, unchanged
from muse_core.pretrain.roi_manifest import (
    Roi,
    RoiManifest,
    RoiSettings,
    RoiSource,
    add_source,
    look_into_roi_folder,
    open_roi_folder,
)
from muse_core.progress import OnProgress
from muse_core.slides import Region, Slide, TissueMask, tissue_mask
from muse_core.slides.readable import read_readable

_TILE_PX = 256
"""Side of the JPEG tiles: of 128, 256 and 512, crops of 280 and 560 px decoded fastest from it."""

FindNuclei = Callable[[npt.NDArray[np.uint8], float, Region], npt.NDArray[np.float32]]
"""From pixels (H, W, 3), their microns per pixel and their place in the slide (level-0 pixels) to
nuclei (N, 2), x and y in those pixels."""


def cut_slide(
    slide: Slide,
    folder: Path,
    manifest: RoiManifest,
    find_nuclei: FindNuclei,
    on_progress: OnProgress | None = None,
    should_cancel: Callable[[], bool] | None = None,
) -> RoiManifest | None:
    """Cut all ROIs of a slide; what is already there is kept, also under another name.

    Args:
        slide: An open slide with a known MPP.
        folder: Where the ROIs go.
        manifest: That of the folder.
        find_nuclei: Finds the nuclei of a ROI.
        on_progress: Called with ROIs done, ROIs in all, and a message.
        should_cancel: Asked before each ROI.

    Returns:
        The manifest with the slide, as written to disk; None if cancelled.

    Raises:
        UserError: The slide has no MPP, nothing of a ROI can be read, or the folder cannot be
            written.
    """
    settings = manifest.settings
    facts = _facts(slide, settings)
    key = _key(slide.path.name, facts)
    # Another program may have cut it meanwhile.
    manifest = look_into_roi_folder(folder, settings)
    # Under another name it would be the same tissue again.
    if any(source.key in (key, _key(source.name, facts)) for source in manifest.sources):
        return manifest
    tissue = tissue_mask(slide)
    mpp = max(settings.mpp, slide.require_mpp())
    regions = list(roi_regions(slide, tissue, settings))
    cutter = _Cutter(slide, tissue, mpp, settings, find_nuclei)
    rois, left_out = [], []
    try:
        with unchanged(slide.path, slide.part):
            for number, region in enumerate(regions):
                if should_cancel and should_cancel():
                    return None
                file = f"{key}/{round(region.x)}_{round(region.y)}.tif"
                cut = cutter.cut(region, folder, file)
                if isinstance(cut, Roi):
                    rois.append(cut)
                else:
                    left_out.append(cut)
                if on_progress:
                    on_progress(number + 1, len(regions), slide.title)
    except SlideChangedError:
        shutil.rmtree(folder / key, ignore_errors=True)
        raise
    open_roi_folder(folder, settings)
    source = RoiSource(slide.title, key, slide.require_mpp(), tuple(rois), tuple(left_out))
    return add_source(folder, source)


def roi_regions(slide: Slide, tissue: TissueMask, settings: RoiSettings) -> Iterator[Region]:
    """Divide the slide into rectangles of equal size and yield those with enough tissue.

    None is larger than ``roi_px``, and no narrow strip remains at the edges.

    Yields:
        Level-0 pixels.
    """
    mpp = slide.require_mpp()
    side = settings.roi_px * max(settings.mpp, mpp) / mpp
    columns, rows = math.ceil(slide.width / side - 1e-6), math.ceil(slide.height / side - 1e-6)
    xs = np.linspace(0, slide.width, max(columns, 1) + 1).round()
    ys = np.linspace(0, slide.height, max(rows, 1) + 1).round()
    for y, y1 in itertools.pairwise(ys):
        for x, x1 in itertools.pairwise(xs):
            region = Region(float(x), float(y), float(x1 - x), float(y1 - y))
            if tissue.fraction(region) >= settings.min_tissue:
                yield region


def _kept(image: Path, points: Path) -> tuple[int, int, int] | None:
    """Height, width and nuclei of a ROI that is there already; None where it is to be cut."""
    # The points are written last: where they are, the image is whole.
    if not (points.is_file() and image.is_file()):
        return None
    try:
        with tifffile.TiffFile(image) as tif:
            height, width = tif.pages.first.shape[:2]
        return height, width, len(np.load(points, allow_pickle=False))
    except Exception:
        # The file has been damaged since: libraries raise errors of any kind.
        return None


@dataclass(frozen=True, eq=False)
class _Cutter:
    """Cuts ROIs out of a slide, at ``mpp`` microns per pixel."""

    slide: Slide
    tissue: TissueMask
    mpp: float
    settings: RoiSettings
    find_nuclei: FindNuclei

    def cut(self, region: Region, folder: Path, file: str) -> Roi | str:
        """Write a ROI and its nuclei to a file in a folder, unless they are there already.

        Returns:
            The ROI, or why it is left out: a part of it cannot be read.

        Raises:
            UserError: Nothing of it can be read.
        """
        image = folder / file
        points = image.with_suffix(".npy")
        kept = _kept(image, points)
        if kept is not None:
            height, width, n_nuclei = kept
        else:
            read = read_readable(self.slide, region, self.mpp)
            rgb = read.require_some()
            if read.unreadable:
                return f"ROI {region.x:.0f},{region.y:.0f}: {read.unreadable[0].reason}"
            height, width = rgb.shape[:2]
            found = self.find_nuclei(rgb, self.mpp, region)
            xy = np.asarray(found, dtype=np.float32).reshape(-1, 2)
            if not image.parent.is_dir():
                open_roi_folder(folder, self.settings)
                make_folder(image.parent)
            _write_image(rgb, image, self.mpp, self.settings.jpeg_quality)
            with replacing(points) as partial:
                partial.write_bytes(_npy(xy))
            n_nuclei = len(xy)
        return Roi(
            file=file,
            width_px=width,
            height_px=height,
            mpp=self.mpp,
            x_px=region.x,
            y_px=region.y,
            tissue=round(float(self.tissue.fraction(region)), 4),
            n_nuclei=n_nuclei,
        )


def _npy(values: npt.NDArray[np.float32]) -> bytes:
    """The bytes of a .npy file: on a full disk, np.save itself does not say why it fails."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _write_image(rgb: npt.NDArray[np.uint8], path: Path, mpp: float, quality: int) -> None:
    with replacing(path) as partial:
        tifffile.imwrite(
            partial,
            rgb,
            photometric="rgb",
            tile=(_TILE_PX, _TILE_PX),
            compression="jpeg",
            compressionargs={"level": quality},
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
        )


def _facts(slide: Slide, settings: RoiSettings) -> list[object]:
    """What tells one slide from another beside its name, JSON-able."""
    content = identify_slide(slide.path, slide.part).fingerprint
    if slide.choice.channels:
        content += f"|{slide.choice.channels}"
    return [content, slide.width, slide.height, slide.require_mpp(), asdict(settings)]


def _key(name: str, facts: Sequence[object]) -> str:
    """A folder name that two different slides of the same file name do not share."""
    digest = hashlib.sha256(json.dumps([name, *facts], sort_keys=True).encode()).hexdigest()[:10]
    stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in Path(name).stem)[:60].strip(".")
    return f"{stem}-{digest}"
