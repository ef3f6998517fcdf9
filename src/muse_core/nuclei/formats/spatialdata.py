"""Nuclei as the points element "nuclei" of a SpatialData store (a .zarr folder)."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr

from muse_core.errors import UserError
from muse_core.files import entries, replacing
from muse_core.nuclei.formats.columns import nuclei_from_columns
from muse_core.nuclei.formats.element_place import on_slide
from muse_core.nuclei.formats.facts import Facts, facts_of, facts_to_json
from muse_core.nuclei.formats.headings import CLASS_NAMES
from muse_core.nuclei.nucleus_file import NucleusFile, check_count
from muse_core.nuclei.table import valid_parts
from muse_core.ordinary import require_folder

ELEMENT = "nuclei"
_TEXTS = ("class_name", "status", "model")
_GLOBAL = "global"
_SHOWN = 3
_INDEX = "__null_dask_index__"
"""Name under which dask writes an unnamed index."""


def is_spatialdata(path: str | Path) -> bool:
    """Whether a folder is a SpatialData store and not, say, a slide; needs no extra package."""
    try:
        return "spatialdata_attrs" in zarr.open_group(Path(path), mode="r").attrs
    except (OSError, ValueError, KeyError, RuntimeError):
        return False


def write_spatialdata(content: NucleusFile, path: str | Path) -> None:
    """Write nuclei to a new SpatialData store; replaces only a store that holds nothing else.

    Level-0 pixels are the coordinate system "global"; where the microns per pixel are known, the
    points also lie in a system "um". Other metadata is in the store's attributes under "muse".

    Args:
        content: Nuclei and their metadata.
        path: Target folder, ending in ``.zarr``.

    Raises:
        UserError: spatialdata cannot be imported, something else has the name, another
            program's store too, or the folder cannot be written.
    """
    write_spatialdata_parts([content.table], path, facts_of(content))


def write_spatialdata_parts(parts: Iterable[pd.DataFrame], path: str | Path, facts: Facts) -> None:
    """Like :func:`write_spatialdata`, for an iterable of tables, in little memory.

    Args:
        parts: NucleusTables, whose ids differ.
        path: Target folder, ending in ``.zarr``.
        facts: Rest of the store's content.

    Raises:
        UserError: See :func:`write_spatialdata`.
    """
    target, tables = Path(path), valid_parts(parts)
    # Check the first table before the library, whose absence is the lesser error.
    tables = itertools.chain([next(tables)], tables)
    attributes = facts_to_json(facts)
    if target.exists() and not _is_nuclei_alone(target):
        raise UserError(f"{target} is something else; choose another name.")
    library = _library()
    with replacing(target) as partial:
        # The library reads the suffix.
        waiting, inner = partial / "parts", partial / "store.zarr"
        waiting.mkdir(parents=True)
        points = library.models.PointsModel.parse(
            _lazy_frame(tables, waiting),
            coordinates={"x": "x", "y": "y"},
            transformations=_transformations(library, facts.mpp),
            sort=True,
        )
        data = library.SpatialData(points={ELEMENT: points}, attrs={"muse": attributes})
        data.write(inner)
        shutil.rmtree(waiting)
        _move_up(inner, partial)


def _lazy_frame(tables: Iterable[pd.DataFrame], folder: Path) -> Any:
    """Write tables to a folder and return a dask data frame that reads them lazily."""
    import dask.dataframe as dd

    first = 0
    for number, table in enumerate(tables):
        frame = table.assign(**{c: table[c].astype("category") for c in _TEXTS})
        frame.index = pd.RangeIndex(first, first + len(frame), name=_INDEX)
        frame.to_parquet(folder / f"part.{number}.parquet", index=True)
        first += len(frame)
    return dd.read_parquet(folder, index=_INDEX)


def _transformations(library: Any, mpp: float | None) -> dict[str, Any]:
    """From level-0 pixels to the store's coordinate systems."""
    known = {_GLOBAL: library.transformations.Identity()}
    if mpp is not None:
        known["um"] = library.transformations.Scale([mpp, mpp], axes=("x", "y"))
    return known


def read_spatialdata(path: str | Path) -> NucleusFile:
    """Read the points element "nuclei", or the only one there is, as it lies in "global".

    Raises:
        UserError: spatialdata cannot be imported, the folder is missing or no store, it has no
            points or several elements of other names, they are in microns or in several systems of
            coordinates, or it holds a bad value.
    """
    source = require_folder(path)
    if not is_spatialdata(source):
        raise UserError(f"{source.name} is not a SpatialData store.")
    library = _library()
    try:
        data = library.SpatialData.read(source, selection=("points",))
        names = list(data.points)
        if not names:
            raise UserError(_without_points(source))
        if ELEMENT not in names and len(names) != 1:
            raise UserError(f"It has the points {', '.join(names)}; one must be {ELEMENT!r}.")
        name = ELEMENT if ELEMENT in names else names[0]
        points = data.points[name]
        _require_nuclei(name, points)
        check_count(len(points), source.name)
        raw = points.compute()
        columns = {name: np.asarray(raw[name], dtype=object) for name in raw.columns}
        xy = on_slide(raw[["x", "y"]].to_numpy(np.float64), _systems(library, points))
        return nuclei_from_columns(xy, columns, data.attrs.get("muse"))
    except UserError as error:
        raise UserError(f"{source.name}: {error}") from error
    except Exception as error:  # the library raises whatever its own libraries raise
        raise UserError(f"{source.name} cannot be read as SpatialData: {error}.") from error


def _without_points(source: Path) -> str:
    """What to do with a store that has outlines and no points, as after a segmentation."""
    found = sorted((source / "shapes").glob("*/shapes.parquet"))
    if not found:
        return "It has no points."
    names = ", ".join(str(path.relative_to(source)) for path in found[:_SHOWN])
    return f"It has no points; its outlines can be read from {names}."


def _require_nuclei(name: str, points: Any) -> None:
    """Refuse molecules, which Xenium and others detect in millions and label by their gene.

    Raises:
        UserError: A column that is none of classes is marked as the points' feature.
    """
    feature = points.attrs.get("spatialdata_attrs", {}).get("feature_key")
    if feature is not None and str(feature).lower() not in CLASS_NAMES:
        raise UserError(f"its points {name} are molecules, named by {feature!r}, and no nuclei.")


def _systems(library: Any, points: Any) -> dict[str, npt.NDArray[np.float64]]:
    """The way from the points' own coordinates to each of their systems, (3, 3) each."""
    known = library.transformations.get_transformation(points, get_all=True)
    return {name: step.to_affine_matrix(("x", "y"), ("x", "y")) for name, step in known.items()}


def _is_nuclei_alone(folder: Path) -> bool:
    """Whether a folder is a store that was written here, and nobody has added to it since."""
    if not is_spatialdata(folder) or "muse" not in zarr.open_group(folder, mode="r").attrs:
        return False
    # The folders themselves: consolidated metadata may not know what was added later.
    kinds = [entry for entry in entries(folder) if entry.is_dir()]
    elements = [entry for kind in kinds for entry in entries(kind) if entry.is_dir()]
    return elements == [folder / "points" / ELEMENT]


def _move_up(inner: Path, outer: Path) -> None:
    for item in list(inner.iterdir()):
        item.rename(outer / item.name)
    inner.rmdir()


def _library() -> Any:
    try:
        import spatialdata
        import spatialdata.models
        import spatialdata.transformations
    except ImportError as error:
        raise UserError(
            "SpatialData needs its package; install napari-muse with its extra:"
            " napari-muse[spatialdata]."
        ) from error
    return spatialdata
