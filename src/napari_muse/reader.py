"""Slides as multiscale image layers, scaled in microns; nuclei CSV as points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from muse_core.nuclei import read_csv
from muse_core.slides import Slide, can_open, open_slide
from napari_muse.coordinates import to_layer

SLIDE_KEY = "muse_slide"
"""Layer metadata: the Slide an image layer shows."""
TABLE_KEY = "muse_table"
"""Layer metadata: the NucleusTable a points layer was read from."""
SOURCE_KEY = "muse_source"
"""Layer metadata: a function that gives the NucleusTable behind a layer, and the slide's MPP."""
LayerTuple = tuple[Any, dict[str, Any], str]

# A texture of one level this large is more than many graphics cards take; napari then asks for
# coarser ones, which are made by leaving pixels out.
_LARGEST_SIDE_PX = 8192
_OWN_COLUMNS = {"x_px", "y_px", "x_um", "y_um"}
_LONGEST_HEADER = 4096


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerTuple]] | None:
    """The reader for a path, or None where it is not ours."""
    first = Path(path if isinstance(path, str) else path[0])
    if first.suffix.lower() == ".csv":
        return read_nuclei if _holds_nuclei(first) else None
    return read_slide if can_open(first) else None


def read_slide(path: str | Sequence[str]) -> list[LayerTuple]:
    """One image layer for each slide.

    Raises:
        UserError: A file is missing, damaged, or not a slide.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return [_image_layer(open_slide(p)) for p in paths]


def read_nuclei(path: str | Sequence[str]) -> list[LayerTuple]:
    """Nuclei of CSV files; an open MUSE panel takes them over into its slide.

    Raises:
        UserError: A file is missing, is not CSV, or lacks a column.
    """
    paths = [path] if isinstance(path, str) else list(path)
    layers: list[LayerTuple] = []
    for p in paths:
        table = read_csv(p)
        data = to_layer(table["x"].to_numpy(), table["y"].to_numpy())
        settings = {"name": Path(p).stem, "metadata": {TABLE_KEY: table}}
        layers.append((data, settings | spatial_settings(_mpp_of_table(Path(p))), "points"))
    return layers


def spatial_settings(mpp: float | None) -> dict[str, Any]:
    """Scale and units of layers over a slide: microns, or pixels while its MPP is unknown."""
    if mpp is None:
        return {"scale": (1.0, 1.0), "units": ("pixel", "pixel")}
    return {"scale": (mpp, mpp), "units": ("um", "um")}


def _holds_nuclei(path: Path) -> bool:
    """Whether a CSV file looks like nuclei; other tables are left to other readers."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline(_LONGEST_HEADER)
    except (OSError, UnicodeDecodeError):
        return False
    columns = {name.strip().strip('"') for name in header.split(",")}
    return bool(_OWN_COLUMNS & columns)


def _mpp_of_table(path: Path) -> float | None:
    """The MPP behind a nuclei file that has both pixels and microns."""
    try:
        table = pd.read_csv(path, usecols=["x_px", "x_um", "y_px", "y_um"], nrows=1000)
        px = float(table["x_px"].abs().sum() + table["y_px"].abs().sum())
        um = float(table["x_um"].abs().sum() + table["y_um"].abs().sum())
    except (ValueError, TypeError):
        return None
    return um / px if px > 0 and um > 0 else None


def _image_layer(slide: Slide) -> LayerTuple:
    levels = list(slide.levels)
    while max(levels[-1].shape[:2]) > _LARGEST_SIDE_PX:
        levels.append(levels[-1][::4, ::4])
    settings = {
        "name": slide.name,
        "rgb": True,
        "multiscale": len(levels) > 1,
        "metadata": {SLIDE_KEY: slide},
        **spatial_settings(slide.mpp),
    }
    return (levels if len(levels) > 1 else levels[0], settings, "image")
