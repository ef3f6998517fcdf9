"""New regions of a slide, with names that no other region has."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from muse_core.slides import PolygonRegion, Region
from napari_muse.annotations.slide_annotations import SlideAnnotations


def mark_reviewed(annotations: SlideAnnotations, area: Region) -> None:
    """Add a reviewed region: every nucleus in a rectangle has been looked at.

    Args:
        annotations: Of the slide.
        area: Level-0 pixels.

    Raises:
        UserError: The store cannot be written.
    """
    x, y, x1, y1 = area.x, area.y, area.x1, area.y1
    (name,) = _free_names(annotations, "field", 1)
    annotations.add_region(((x, y), (x1, y), (x1, y1), (x, y1)), reviewed=True, name=name)


def add_areas(annotations: SlideAnnotations, areas: Sequence[PolygonRegion]) -> None:
    """Add areas, level-0 pixels, as regions that are not reviewed, in one edit.

    Raises:
        UserError: The store cannot be written.
    """
    names = _free_names(annotations, "region", len(areas))
    annotations.add_regions(
        (area.vertices, False, name) for area, name in zip(areas, names, strict=True)
    )


def _free_names(annotations: SlideAnnotations, stem: str, count: int) -> list[str]:
    taken = set(annotations.regions()["name"])
    free = (name for i in itertools.count(1) if (name := f"{stem} {i}") not in taken)
    return list(itertools.islice(free, count))
