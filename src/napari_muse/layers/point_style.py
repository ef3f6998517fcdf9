"""Colours, symbols and sizes of the points that stand for nuclei."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.array_types import Mask
from muse_core.nuclei import STATUSES, NucleusClass, Status
from napari_muse.annotations.nucleus_arrays import NucleusArrays
from napari_muse.napari_compat import symbols_of

DIAMETER_PX = 14.0
"""Where the scale is unknown."""
RING = 0.15
"""Width of a point's border, as part of its diameter."""
_DIAMETER_UM = 7.0
_SELECTED_FACE = (1.0, 0.9, 0.0, 0.3)
_SELECTED_GROWTH = 1.8
_OUTLINED_GROWTH, _OUTLINED_RING = 1.6, 0.35
_CONFIRMED_ALPHA, _FACE_ALPHA = 0.55, 0.12
# Discs are predictions, filled if confirmed; squares are corrected and diamonds added nuclei.
_SYMBOLS = symbols_of(
    [{Status.ADDED: "diamond", Status.CORRECTED: "square"}.get(s, "disc") for s in Status]
)


def base_style(nuclei: NucleusArrays, rows: Any) -> dict[str, object]:
    """Return the properties of (n,) points that depend on class and status, by napari's names.

    Returns:
        ``symbol`` (n,) and ``border_color`` (n, 4), 0 to 1.
    """
    return {
        "symbol": _SYMBOLS[rows["status"]],
        "border_color": class_colors(nuclei, nuclei.class_index(rows)),
    }


def mark_style(
    nuclei: NucleusArrays, rows: Any, selected: Mask, outlined: Mask, mpp: float | None
) -> dict[str, object]:
    """Return the properties of (n,) points that mark selected and outlined ones, by napari's names.

    Selected points are tinted and larger, because napari's own highlight is a hairline.

    Args:
        nuclei: All nuclei of the slide.
        rows: (n,) rows that are shown.
        selected: (n,) which are selected.
        outlined: (n,) which are drawn larger, with a thicker border.
        mpp: Microns per level-0 pixel, None while unknown.

    Returns:
        ``face_color`` (n, 4), 0 to 1; ``size`` (n,) level-0 pixels; ``border_width`` (n,) as part
        of the size.
    """
    face = class_colors(nuclei, nuclei.class_index(rows))
    face[:, 3] = np.where(rows["status"] == Status.CONFIRMED, _CONFIRMED_ALPHA, _FACE_ALPHA)
    face[selected] = _SELECTED_FACE
    diameter = _DIAMETER_UM / mpp if mpp else DIAMETER_PX
    growth = np.where(outlined, _OUTLINED_GROWTH, 1.0)
    return {
        "face_color": face,
        "size": np.where(selected, _SELECTED_GROWTH, growth) * diameter,
        "border_width": np.where(outlined, _OUTLINED_RING, RING),
    }


def class_colors(
    nuclei: NucleusArrays, class_index: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    """Return (n, 4) colours, 0 to 1, of (n,) places among the classes."""
    return _rgba(nuclei.scheme.classes)[class_index]


def point_features(nuclei: NucleusArrays, rows: Any) -> pd.DataFrame:
    """Return class, score and status of (n,) rows.

    napari shows those of the point under the pointer, and writes them to its own CSV.
    """
    return pd.DataFrame(
        {
            "class": _named(nuclei.class_index(rows), nuclei.scheme.names),
            "score": rows["score"].round(2),
            "status": _named(rows["status"], STATUSES),
        }
    )


def _named(index: npt.NDArray[Any], names: Iterable[str]) -> pd.Categorical[str]:
    """Return (n,) names as categories, which is much faster than strings."""
    return pd.Categorical.from_codes(index, categories=pd.Index(list(names), dtype=object))


def _rgba(classes: Iterable[NucleusClass]) -> npt.NDArray[np.float32]:
    """Return (K, 4) colours, 0 to 1."""
    channels = [[int(c.color[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0] for c in classes]
    return np.array(channels, dtype=np.float32).reshape(-1, 4)
