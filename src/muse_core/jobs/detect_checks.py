"""Check a detect job against its slide before the network is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from muse_core.errors import UserError
from muse_core.files import check_writable
from muse_core.jobs.specs import DetectJob

if TYPE_CHECKING:
    from muse_core.slides import PolygonRegion, Region, Slide


def require_detectable(job: DetectJob) -> None:
    """Refuse a job that could not begin, before another one does its work.

    Raises:
        UserError: The slide, its scale, the region or the output cannot be used.
    """
    from muse_core.slides import open_slide

    detect_target(job)
    with open_slide(job.slide, job.mpp, job.choice, job.force_mpp) as slide:
        slide.require_mpp()
        region_notes(slide, job_shapes(job))


def detect_target(job: DetectJob) -> Path | None:
    """The file to write, or None.

    Raises:
        UserError: It cannot be written, its suffix is not that of a format of nuclei, or the format
            needs a package that is missing.
    """
    from muse_core.nuclei.formats.registry import WRITABLE_SUFFIXES, require_writable_format

    if not job.out_csv:
        return None
    target = check_writable(job.out_csv, unlike=job.slide)
    known = target.name.lower().endswith(WRITABLE_SUFFIXES)
    if target.suffix and not known and (target.is_file() or not target.exists()):
        ends = ", ".join(WRITABLE_SUFFIXES)
        raise UserError(f"Cannot write {target}: the name must end in one of {ends}.")
    if known:
        require_writable_format(target)
    return target


def job_shapes(job: DetectJob) -> list[Region | PolygonRegion]:
    """Return the shapes in which a job looks for nuclei; none means the whole slide.

    Raises:
        UserError: A polygon is not valid.
    """
    from muse_core.slides import PolygonRegion, Region

    shapes: list[Region | PolygonRegion] = []
    if job.region is not None:
        shapes.append(Region(*map(float, job.region)))
    for polygon in job.polygons or ():
        if any(len(vertex) != 2 for vertex in polygon):
            raise UserError("Each vertex of a polygon is two numbers, x and y.")
        shapes.append(PolygonRegion(tuple((float(x), float(y)) for x, y in polygon)))
    if job.polygons is not None and not shapes:
        raise UserError("There is no polygon to look in.")
    return shapes


def region_notes(slide: Slide, shapes: Sequence[Region | PolygonRegion]) -> list[str]:
    """Return notes for the user; raises UserError for a region wholly outside the slide."""
    from muse_core.slides import Region

    size = f"{slide.width} x {slide.height} px"
    if not shapes:
        return []
    clipped = [shape.bounds.intersect(slide.bounds) for shape in shapes]
    if all(c is None for c in clipped):
        raise UserError(f"The region lies outside the slide, which is {size}.")
    if any(c != shape.bounds for c, shape in zip(clipped, shapes, strict=True)):
        inside = next(c for c in clipped if c is not None)
        where = ",".join(f"{v:g}" for v in (inside.x, inside.y, inside.w, inside.h))
        rest = f"; looking at {where}" if len(shapes) == 1 and isinstance(shapes[0], Region) else ""
        return [f"The region reaches beyond the slide, which is {size}{rest}."]
    return []
