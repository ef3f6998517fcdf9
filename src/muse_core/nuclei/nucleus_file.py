"""NucleusFile: content of a file of nuclei, the table with its metadata."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from numbers import Real

import pandas as pd

from muse_core.errors import UserError
from muse_core.nuclei.counted import counted
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.regions import NamedRegion
from muse_core.nuclei.scheme import ClassScheme

MAX_NUCLEI = 20_000_000
"""More than any slide has; a file that claims more is refused before it fills the memory."""
MAX_CLASSES = 256
"""A file with more has a number for each nucleus in the place of a class."""
_FEW = 20
"""So many nuclei may each have a class of their own."""
_RENAME = "if it numbers the nuclei, rename it or leave it out."
MAX_CHARACTERS = 1 << 30
"""Most characters of all names in a table together, repetitions included."""
Origin = tuple[float, float]
Place = tuple[float, float, float, float]
PlaneZT = tuple[int, int]
FIRST_PLANE: PlaneZT = (0, 0)
WHOLE_SLIDE: Origin = (0.0, 0.0)
"""Positions count from the corner of the slide's level 0."""
_DIGITS = 6
UNCLASSIFIED = "unclassified"
"""Class of a nucleus for which a file of another program names none."""


@dataclass(frozen=True)
class NucleusFile:
    """Content of a file of nuclei.

    Attributes:
        table: NucleusTable, level-0 pixels, counted from the file's origin.
        scheme: Classes with colours and keys, or None where the file has none.
        mpp: Microns per level-0 pixel, or None where the file does not say.
        regions: Outlines beside the nuclei.
        notes: Sentences for the user about what was left out or assumed in reading.
        origin_px: Position on the slide, (x, y) in level-0 pixels, that coordinates are relative
            to, or None where the file does not say. Files for other programs are relative to the
            corner of the scanned area, which differs from the slide's corner only in slides that
            are mostly empty (MRXS).
        slide: The slide that the file names, or None.
        unreadable_px: Areas (x, y, w, h) of the slide that could not be read during detection,
            relative to the corner of the slide whatever the origin.
        plane_zt: Index, from 0, of the focal plane and of the point of time in which they lie; 0 of
            images that are no stack.
    """

    table: pd.DataFrame
    scheme: ClassScheme | None = None
    mpp: float | None = None
    regions: tuple[NamedRegion, ...] = ()
    notes: tuple[str, ...] = ()
    origin_px: Origin | None = None
    slide: RecordedSlide | None = None
    unreadable_px: tuple[Place, ...] = ()
    plane_zt: PlaneZT = FIRST_PLANE

    def __post_init__(self) -> None:
        check_positive_mpp(self.mpp)

    def counted_from(self, origin_px: Origin) -> NucleusFile:
        """Return nuclei and regions with coordinates relative to another origin on the slide.

        Raises:
            UserError: The file does not state its origin.
        """
        if self.origin_px is None:
            raise UserError("Where on the slide the positions of this file begin is not known.")
        dx, dy = (a - b for a, b in zip(self.origin_px, origin_px, strict=True))
        if not (dx or dy):
            return replace(self, origin_px=origin_px)
        # Rounded, to remove the floating-point noise of adding and subtracting.
        table = self.table.assign(
            x=(self.table["x"] + dx).round(_DIGITS), y=(self.table["y"] + dy).round(_DIGITS)
        )
        regions = tuple(
            replace(
                region,
                vertices=tuple(
                    (round(x + dx, _DIGITS), round(y + dy, _DIGITS)) for x, y in region.vertices
                ),
            )
            for region in self.regions
        )
        return replace(self, table=table, regions=regions, origin_px=origin_px)

    def classes(self) -> ClassScheme:
        """The file's classes, and after them those that only the table names, by name.

        Raises:
            UserError: There are too many.
        """
        known = self.scheme or ClassScheme(())
        further = set(self.table["class_name"].unique()) - set(known.names)
        check_classes(len(known.names) + len(further), "The column of classes")
        return known.extended(sorted(further))


def unclassified_note(count: int) -> str:
    """Return the sentence about nuclei for which a file of another program names no class."""
    without = counted(count, "nucleus without a class is now", "nuclei without a class are now")
    return f"{without} {UNCLASSIFIED!r}."


def check_positive_mpp(mpp: float | None) -> None:
    """Raise UserError unless this is None or a number above 0."""
    if mpp is None:
        return
    if isinstance(mpp, bool) or not isinstance(mpp, Real):
        raise UserError(f"Microns per pixel are one number, not {mpp!r:.40}.")
    if not (math.isfinite(mpp) and mpp > 0):
        raise UserError(f"Microns per pixel must be above 0, got {mpp:g}.")


def check_count(n_nuclei: int, name: str) -> None:
    """Raise UserError when a file claims more nuclei than any slide has."""
    if n_nuclei > MAX_NUCLEI:
        raise UserError(f"{name} holds more than {MAX_NUCLEI:,} nuclei, which no slide does.")


def check_classes(n_classes: int, source: str) -> None:
    """Raise UserError when there are so many classes that they must be numbers of nuclei.

    Args:
        n_classes: How many distinct ones there are.
        source: What names them, to begin the sentence with.
    """
    if n_classes > MAX_CLASSES:
        raise UserError(f"{source} names more than {MAX_CLASSES} classes; {_RENAME}")


def check_numbering(classes: Collection[str], n_nuclei: int, source: str) -> None:
    """Raise UserError when each nucleus has a number of its own in the place of a class.

    Args:
        classes: The distinct names.
        n_nuclei: How many nuclei have them.
        source: What names them, to begin the sentence with.
    """
    if n_nuclei > _FEW and len(classes) == n_nuclei and all(name.isdecimal() for name in classes):
        raise UserError(f"{source} has another number for each of {n_nuclei:,} nuclei; {_RENAME}")


def check_characters(n_characters: int) -> None:
    """Raise UserError when the names of a table would fill the memory."""
    if n_characters > MAX_CHARACTERS:
        raise UserError("The names it holds are so long that they would fill the memory.")
