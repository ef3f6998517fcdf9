"""Where an element of a SpatialData store lies on its slide, by its coordinate systems.

By the format's specification, "Coordinate systems and transformations"; needs no extra package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError

Matrix = npt.NDArray[np.float64]
"""(3, 3), of x, y and 1."""
Positions = npt.NDArray[np.float64]
"""(N, 2), x and y."""

_GLOBAL = "global"
_MICRONS = tuple(
    unit
    for mu in ("u", "\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}")
    for unit in (f"{mu}m", "micron", "microns", "micrometer", "micrometers")
)
_SMALLER = "_downscaled_"
"""In the names that readers of Visium give to the pixels of thumbnails."""
_SHOWN = 3
_METADATA = ("zarr.json", ".zattrs")
_DAMAGED = (LookupError, TypeError, ValueError, AttributeError)


def on_slide(xy: Positions, systems: Mapping[str, Matrix]) -> Positions:
    """Return positions in the system "global" or, without it, in the system of the sample.

    Images lie in these in pixels. If an element has a system of microns alone, it holds pixels if
    that scales them.

    Args:
        xy: Positions in an element's own system.
        systems: The way from there to each coordinate system.

    Raises:
        UserError: The element lies in several systems, or in microns.
    """
    if _GLOBAL in systems:
        return _moved(xy, systems[_GLOBAL])
    samples = {
        name: matrix
        for name, matrix in systems.items()
        if name.lower() not in _MICRONS and _SMALLER not in name
    }
    first = next(iter(samples.values()), None)
    if first is not None and all(np.array_equal(first, other) for other in samples.values()):
        return _moved(xy, first)
    if samples:
        names = ", ".join(sorted(samples)[:_SHOWN])
        raise UserError(
            f"It lies in the coordinate systems {names}; which of them is that of the slide cannot"
            f" be told: put it into {_GLOBAL!r}, in pixels."
        )
    if any(np.array_equal(matrix, np.eye(3)) for matrix in systems.values()):
        raise UserError(f"Its positions are in microns; put it into {_GLOBAL!r}, in pixels.")
    return xy


def systems_of_folder(element: Path) -> dict[str, Matrix] | None:
    """The way to each coordinate system from an element's own, or None for any other folder.

    Raises:
        UserError: The metadata are damaged, or of a transformation that is not known.
    """
    for name in _METADATA:
        try:
            facts = json.loads((element / name).read_bytes())
        except (OSError, ValueError):
            continue
        attributes = facts.get("attributes", facts) if isinstance(facts, dict) else {}
        if isinstance(attributes, dict) and "spatialdata_attrs" in attributes:
            return _systems(attributes)
    return None


def _systems(attributes: Mapping[str, Any]) -> dict[str, Matrix]:
    try:
        steps = attributes["coordinateTransformations"]
        return {str(step["output"]["name"]): _matrix(step) for step in steps}
    except _DAMAGED as error:
        raise UserError("Its coordinate systems cannot be understood.") from error


def _matrix(step: Mapping[str, Any]) -> Matrix:
    """The matrix of a transformation; raises one of _DAMAGED for one that is not known."""
    kind = step["type"]
    matrix = np.eye(3)
    if kind == "sequence":
        for part in step["transformations"]:
            matrix = _matrix(part) @ matrix
        return matrix
    if [axis["name"] for axis in step["input"]["axes"]][:2] != ["x", "y"]:
        raise ValueError("axes in another order")
    if kind == "scale":
        matrix[[0, 1], [0, 1]] = step["scale"][:2]
    elif kind == "translation":
        matrix[:2, 2] = step["translation"][:2]
    elif kind == "affine":
        rows = np.array(step["affine"], dtype=np.float64)
        matrix[:2] = rows[:2, [0, 1, -1]]
    elif kind != "identity":
        raise ValueError(kind)
    return matrix


def _moved(xy: Positions, matrix: Matrix) -> Positions:
    placed: Positions = xy @ matrix[:2, :2].T + matrix[:2, 2]
    return placed
