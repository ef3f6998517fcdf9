"""Effect of decoding 40x JPEG tiles at half size: time saved, and changes to pixels and nuclei.

    python benchmarks/half_jpeg.py --data DATA [--quality 80] [--tiles 16] [--json]

Annotated OCELOT tiles (0.19 um/px) side by side become one tiled JPEG file, in which nuclei are
detected twice: decoded at full size and resampled, and decoded at half size. Seconds are those of
the reading thread, the best of three.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import imagecodecs
import numpy as np
import pandas as pd
import tifffile
import typer
from PIL import Image
from scipy.spatial import cKDTree

from muse_core.array_types import RgbArray
from muse_core.detect import DetectConfig, Detector, open_backend
from muse_core.models.registry import resolve_model
from muse_core.slides import open_slide

_SIDE_PX, _JPEG_PX = 1024, 256
_MPP, _MODEL_MPP = 0.1943, 0.5
_NEAR_UM, _RIGHT_UM = 0.5, 3.0


def main(
    data: Annotated[Path, typer.Option(help="Folder with ocelot/.")],
    quality: Annotated[int, typer.Option(help="Quality of the JPEG tiles.")] = 80,
    tiles: Annotated[int, typer.Option(help="Number of annotated tiles, a square.")] = 16,
    models: Annotated[str, typer.Option(help="Names or files.")] = "muse-small,muse-small-breast",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line, no tables.")
    ] = False,
) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tiff"
        rgb, points = _side_by_side(data / "ocelot" / "train", tiles)
        _write(path, rgb, quality)
        rows = [_searched(path, name, points) for name in models.split(",")]
        reading = [_read(path, m) for m in (_MPP, 0.25)]
    if as_json:
        found = {"quality": quality, "reading": reading, "nuclei": rows, "annotated": len(points)}
        print(json.dumps(found))
        return
    for row in (*reading, *rows):
        print(", ".join(f"{key} {value}" for key, value in row.items()))


def _side_by_side(folder: Path, count: int) -> tuple[RgbArray, np.ndarray[Any, Any]]:
    """An image of annotated tiles arranged in a square, and their points in its pixels."""
    images = sorted((folder / "images").iterdir())
    chosen = np.random.default_rng(0).choice(len(images), count, replace=False)
    side = math.isqrt(count)
    rgb = np.full((side * _SIDE_PX, side * _SIDE_PX, 3), 255, np.uint8)
    points = []
    for place, number in enumerate(chosen[: side * side]):
        y, x = (_SIDE_PX * n for n in divmod(place, side))
        tile = np.asarray(Image.open(images[number]).convert("RGB"))[:_SIDE_PX, :_SIDE_PX]
        rgb[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        table = pd.read_csv(folder / "points" / f"{images[number].stem}.csv")
        points.append(table[["x", "y"]].to_numpy() + np.array([x, y]))
    return rgb, np.concatenate(points)


def _write(path: Path, rgb: RgbArray, quality: int) -> None:
    height, width = rgb.shape[:2]
    jpegs = [
        bytes(
            imagecodecs.jpeg8_encode(
                np.ascontiguousarray(rgb[y : y + _JPEG_PX, x : x + _JPEG_PX]),
                level=quality,
                colorspace="RGB",
                outcolorspace="YCBCR",
                subsampling="420",
            )
        )
        for y in range(0, height, _JPEG_PX)
        for x in range(0, width, _JPEG_PX)
    ]
    tifffile.imwrite(
        path,
        iter(jpegs),
        shape=rgb.shape,
        dtype=np.uint8,
        tile=(_JPEG_PX, _JPEG_PX),
        photometric="ycbcr",
        compression="jpeg",
        subsampling=(2, 2),
        metadata=None,
    )


def _read(path: Path, mpp: float) -> dict[str, Any]:
    """Seconds per square millimetre, and the difference of the pixels."""

    def read(half: bool) -> RgbArray:
        with open_slide(path, mpp=mpp, force_mpp=True) as slide:
            return slide.read(slide.bounds, _MODEL_MPP, half=half)

    with open_slide(path, mpp=mpp, force_mpp=True) as slide:
        mm2 = slide.width * slide.height * mpp**2 / 1e6
    (whole_s, whole), (half_s, half) = (_best(partial(read, h)) for h in (False, True))
    apart = np.abs(whole.astype(int) - half)
    return {
        "um/px": mpp,
        "all pixels s/mm2": round(whole_s / mm2, 3),
        "half size s/mm2": round(half_s / mm2, 3),
        "difference of pixels": round(float(apart.mean()), 2),
        "of 1 in 100 at least": int(np.quantile(apart, 0.99)),
    }


def _best(read: Callable[[], RgbArray]) -> tuple[float, RgbArray]:
    seconds = []
    for _ in range(3):
        begin = time.thread_time()
        pixels = read()
        seconds.append(time.thread_time() - begin)
    return min(seconds), pixels


def _searched(path: Path, model: str, points: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Agreement of the nuclei, and F1 of both."""
    tables = []
    for half in (False, True):
        config = DetectConfig(device="cpu", half_jpeg=half)
        detector = Detector(open_backend(resolve_model(model), config), config)
        with open_slide(path, mpp=_MPP, force_mpp=True) as slide:
            tables.append(detector.detect(slide).table)
    whole, half_table = tables
    ways = [_agreement(whole, half_table), _agreement(half_table, whole)]
    return {
        "model": model,
        "nuclei, all pixels": len(whole),
        "nuclei, half size": len(half_table),
        f"within {_NEAR_UM} um": round(min(near for near, _ in ways), 4),
        "of one class": round(min(same for _, same in ways), 4),
        "F1, all pixels": round(_f1(whole, points), 4),
        "F1, half size": round(_f1(half_table, points), 4),
    }


def _agreement(one: pd.DataFrame, other: pd.DataFrame) -> tuple[float, float]:
    distance, nearest = cKDTree(other[["x", "y"]]).query(one[["x", "y"]])
    near = distance <= _NEAR_UM / _MPP
    same = one["class_name"].to_numpy()[near] == other["class_name"].to_numpy()[nearest[near]]
    return float(near.mean()), float(same.mean())


def _f1(table: pd.DataFrame, points: np.ndarray[Any, Any]) -> float:
    found = table[["x", "y"]].to_numpy()
    distance, nearest = cKDTree(points).query(found)
    _, back = cKDTree(found).query(points)
    right = (back[nearest] == np.arange(len(found))) & (distance <= _RIGHT_UM / _MPP)
    return float(2 * right.sum() / (len(found) + len(points)))


if __name__ == "__main__":
    typer.run(main)
