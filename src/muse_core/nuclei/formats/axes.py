"""Tables of positions along numbered axes: of scikit-image's regionprops and napari's points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from muse_core.nuclei.formats.headings import CLASS_NAMES, spellings
from muse_core.tables import Column

_STEMS = ("centroid", "axis")
_HEADINGS = frozenset(name for stem in _STEMS for n in (0, 1) for name in spellings(f"{stem}_{n}"))
_HALF_PIXEL = 0.5
AXES_AS_PIXELS = (
    "Positions along the axes 0 and 1 were taken as y and x in pixels of the full resolution,"
    " counted from the centre of the first one."
)
_NUMBER_OF_REGION = "label"
"""In these tables usually the number of a region and not its class."""


def axes_columns(headings: Iterable[str], usual: Mapping[str, Column]) -> dict[str, Column] | None:
    """Columns of such a table of an image; None of one of a stack, and of any other table.

    Args:
        headings: Of a file, lower case.
        usual: Columns of other files, which count more.
    """
    found = set(headings)
    if any(found.intersection(usual[key].names) for key in ("x_px", "y_px")):
        return None
    for stem in _STEMS:
        y, x, z = (found.intersection(spellings(f"{stem}_{n}")) for n in range(3))
        if x and y and not z:
            return {
                **usual,
                "x_px": Column(tuple(x), number=True),
                "y_px": Column(tuple(y), number=True),
                "class": Column(CLASS_NAMES, needed=False),
            }
    return None


def is_along_axes(headings: Mapping[str, str]) -> bool:
    """Whether positions of a file are those of :func:`axes_columns`.

    Args:
        headings: What the file calls x_px and y_px.
    """
    return headings["x_px"].strip().lower() in _HEADINGS


def to_corner_px(headings: Mapping[str, str]) -> float:
    """What is added to positions to count them from the corner of the first pixel.

    Args:
        headings: What the file calls x_px and y_px.
    """
    return _HALF_PIXEL if is_along_axes(headings) else 0.0


def may_number_regions(headings: Mapping[str, str]) -> bool:
    """Whether the column taken for classes numbers the regions, if it holds numbers.

    Args:
        headings: What the file calls class and the positions.
    """
    return is_along_axes(headings) and headings.get("class") == _NUMBER_OF_REGION
