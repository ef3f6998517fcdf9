"""PUMA V5 (Schuiveling et al., 2025): melanoma regions at 40x with nuclei outlined in ten classes.

Layout: ``01_training_dataset_tif_ROIs/NAME.tif``, ``01_training_dataset_geojson_nuclei/
NAME_nuclei.geojson``, and the split lists of MUSE's authors in ``split/SPLIT.json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.data.datasets.source import Dataset, annotated, need, read_image, read_json
from muse_core.data.points_folder import AnnotatedImage
from muse_core.errors import UserError
from muse_core.files import entries

_MPP = 0.25
_PREFIX = "nuclei_"
_FINE = (
    "tumor",
    "lymphocyte",
    "plasma_cell",
    "histiocyte",
    "melanophage",
    "neutrophil",
    "stroma",
    "endothelium",
    "epithelium",
    "apoptosis",
)
# As MUSE's authors evaluate it: plasma cells are among the others.
_COARSE = {name: name if name in ("tumor", "lymphocyte") else "other" for name in _FINE}


def read_puma(folder: Path, split: str, fine: bool) -> Iterator[AnnotatedImage]:
    """Regions of a split by name; "all" needs no split lists."""
    images = need(folder / "01_training_dataset_tif_ROIs", "PUMA")
    outlines = need(folder / "01_training_dataset_geojson_nuclei", "PUMA")
    if split == "all":
        names = [path.stem for path in entries(images, "*.tif")]
    else:
        names = _split_names(need(folder / "split" / f"{split}.json", "PUMA"))
    for name in names:
        xy, kinds = nucleus_centres(need(outlines / f"{name}_nuclei.geojson", "PUMA"))
        pixels = read_image(need(images / f"{name}.tif", "PUMA"), _MPP)
        shown = kinds if fine else [_COARSE[kind] for kind in kinds]
        yield annotated(name, pixels, xy, shown, _MPP)


def nucleus_centres(path: Path) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Centres of mass (n, 2) and fine classes of the outlines in a GeoJSON file.

    Raises:
        UserError: It is no GeoJSON of nuclei, or holds an unknown class.
    """
    content = read_json(path)
    centres: list[tuple[float, float]] = []
    names: list[str] = []
    try:
        for feature in content["features"]:
            name = str(feature["properties"]["classification"]["name"]).removeprefix(_PREFIX)
            if name not in _COARSE:
                raise UserError(f"{path} holds the unknown class {name!r}.")
            for ring in _outer_rings(feature["geometry"]):
                centres.append(ring_centre(ring))
                names.append(name)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{path} is no GeoJSON file of nuclei: {error!r}.") from error
    return np.array(centres, dtype=np.float64).reshape(-1, 2), names


def ring_centre(ring: npt.ArrayLike) -> tuple[float, float]:
    """Centre of mass of a polygon's area; of a degenerate one, the mean of its vertices."""
    points = np.asarray(ring, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] < 2 or not np.isfinite(points).all():
        raise ValueError("an outline is not a list of points")
    # About the mean, so that large coordinates cost no digits.
    mean = points[:, :2].mean(axis=0)
    x, y = (points[:, :2] - mean).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    if abs(area) < 1e-9:
        return float(mean[0]), float(mean[1])
    cx = ((x + np.roll(x, -1)) * cross).sum() / (6 * area)
    cy = ((y + np.roll(y, -1)) * cross).sum() / (6 * area)
    return float(mean[0] + cx), float(mean[1] + cy)


def _outer_rings(geometry: Mapping[str, Any]) -> list[Sequence[Any]]:
    if geometry["type"] == "Polygon":
        return [geometry["coordinates"][0]]
    if geometry["type"] == "MultiPolygon":
        return [polygon[0] for polygon in geometry["coordinates"]]
    raise ValueError(f"an outline of type {geometry['type']!r}")


def _split_names(path: Path) -> list[str]:
    try:
        # Keys look like "images/NAME_.png".
        return [Path(key).stem.rstrip("_") for key in read_json(path)["anno"]]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not a split list of PUMA.") from error


PUMA = Dataset("puma", ("train", "val", "test", "all"), _MPP, read_puma, "Schuiveling et al., 2025")
