"""Gain of letting tiles share few image sizes, on tissue of ragged outline.

    python benchmarks/tile_sizes.py SLIDE [--models muse-small,muse-base] [--copies 6] [--repeats 2]

The slide is a mosaic of copies, in which glass is drawn, so that tissue consists of patches of all
sizes. Each detection runs in a process of its own, because what OpenVINO has prepared for a size is
kept; loading the model is not counted. The two ways alternate.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np

    from muse_core.array_types import RgbArray
    from muse_core.slides import Slide

_TILE_PX = 256
_GRAIN = 6.0
"""On a scale of 255. JPEG tiles of quality 80 then take 0.3 bytes per pixel, as in a 40x scan."""
_PATCH_PX = 500
"""About the radius of a patch of tissue."""
_GLASS = 0.6
"""Share of the mosaic that is glass."""


def main(
    slide: Annotated[Path, typer.Argument(help="The slide to copy.")],
    models: Annotated[str, typer.Option(help="Names or files.")] = "muse-small,muse-base",
    copies: Annotated[int, typer.Option(help="Copies along each side.")] = 6,
    repeats: Annotated[int, typer.Option(help="Repeats of each measurement.")] = 2,
    shared: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print a JSON line for each detection."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if shared:
        _detect(slide, models, shared == "yes")
        return
    with tempfile.TemporaryDirectory() as folder:
        made = side_by_side(slide, None, copies, Path(folder), glass=True)
        for _ in range(repeats):
            for model in models.split(","):
                for choice in ("no", "yes"):
                    options = ["--models", model, "--shared", choice]
                    subprocess.run([sys.executable, __file__, str(made), *options], check=True)


def _detect(path: Path, name: str, shared: bool) -> None:
    """Detect once, with sizes shared or each tile at its own, and print what it took."""
    import numpy as np

    from muse_core.detect import DetectConfig, Detector, open_backend
    from muse_core.jobs.processor import give_large_blocks_back
    from muse_core.models.registry import resolve_model
    from muse_core.slides import open_slide

    give_large_blocks_back()
    config = DetectConfig(device="cpu", backend="openvino")
    detector = Detector(open_backend(resolve_model(name), config), config)
    detector.backend.prepares_sizes = shared
    detector.detect_image(np.full((96, 96, 3), 200, np.uint8), detector.card.mpp)
    with open_slide(path) as slide:
        wall, cpu = time.perf_counter(), time.process_time()
        result = detector.detect(slide)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        plan = detector.search(slide, None).plan
    found = {
        "model": name,
        "shared": shared,
        "tissue mm2/s": round(result.tissue_mm2 / wall, 3),
        "cpu s/mm2": round(cpu / result.tissue_mm2, 3),
        "tissue mm2": round(result.tissue_mm2, 2),
        "tiles": len(plan.tiles),
        "sizes": len({plan.network_size(tile) for tile in plan.tiles}),
        "network px/cell px": round(plan.network_px / plan.core_px, 3),
        "nuclei": result.nuclei.count,
    }
    print(json.dumps(found), flush=True)


def side_by_side(
    path: Path,
    mpp: float | None,
    copies: int,
    folder: Path,
    finer: bool = False,
    glass: bool = False,
) -> Path:
    """Write a pyramidal TIFF of copies of a slide, cut to whole tiles.

    Args:
        path: The slide.
        mpp: Its microns per pixel, if it states none.
        copies: Along each side.
        folder: Where to write.
        finer: Whether to upsample twofold, with grain.
        glass: Whether to leave only patches of tissue.
    """
    import numpy as np
    import tifffile

    from muse_core.slides import open_slide

    with open_slide(path, mpp=mpp) as slide:
        pixels = np.tile(_whole_tiles(slide), (copies, copies, 1))
        per_cm = 1e4 / slide.require_mpp()
    if glass:
        pixels[_glass(pixels.shape[:2])] = 244
    if finer:
        pixels, per_cm = _enlarged(pixels), 2 * per_cm
    made = folder / "copies.tiff"
    with tifffile.TiffWriter(made, bigtiff=True) as tif:
        for step in (1, 4, 16):
            tif.write(
                pixels[::step, ::step],
                resolution=(per_cm / step, per_cm / step),
                resolutionunit="CENTIMETER",
                subfiletype=int(step > 1),
                photometric="rgb",
                tile=(_TILE_PX, _TILE_PX),
                compression="jpeg",
                compressionargs={"level": 80},
            )
    return made


def _whole_tiles(slide: Slide) -> RgbArray:
    height, width = (side // _TILE_PX * _TILE_PX for side in (slide.height, slide.width))
    return slide.read(slide.bounds)[:height, :width]


def _glass(size: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: everything outside patches with ragged outlines."""
    import numpy as np
    from PIL import Image
    from scipy import ndimage

    height, width = (side // 16 for side in size)
    noise = np.random.default_rng(0).standard_normal((height, width))
    smooth = sum(
        weight * (field := ndimage.gaussian_filter(noise, reach_px / 16)) / field.std()
        for weight, reach_px in ((1.0, _PATCH_PX), (0.3, _PATCH_PX / 4))
    )
    coarse = Image.fromarray(smooth < np.quantile(smooth, _GLASS))
    return np.asarray(coarse.resize((size[1], size[0])))


def _enlarged(pixels: RgbArray) -> RgbArray:
    """Upsample twofold along both sides, with grain."""
    import numpy as np
    from PIL import Image

    height, width = (2 * side for side in pixels.shape[:2])
    large = np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))
    rng = np.random.default_rng(0)
    for start in range(0, height, _TILE_PX):
        part = large[start : start + _TILE_PX]
        part[:] = (part + rng.normal(0, _GRAIN, part.shape)).round().clip(0, 255)
    return large


if __name__ == "__main__":
    typer.run(main)
