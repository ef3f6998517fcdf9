"""Choose a slide's scale: the one that the file states wins, unless the user forces another."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from muse_core.slides.mpp import check_mpp

_SAME = 1e-3
"""Scales that differ by less than this share are one, rounded differently."""


class ScaleSource(StrEnum):
    """Source of a slide's scale."""

    FILE = "file"
    GIVEN = "given"
    FORCED = "forced"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Scale:
    """The scale of a slide.

    Attributes:
        mpp: Microns per level-0 pixel, or None while it is unknown.
        source: Where it comes from.
        stated_mpp: What the file states, or None.
        notes: A sentence for the user where what was given and what the file states differ.
    """

    mpp: float | None
    source: ScaleSource
    stated_mpp: float | None
    notes: tuple[str, ...] = ()


def settle_scale(stated: float | None, given: float | None, force: bool = False) -> Scale:
    """Choose between what a file states and what a person gives.

    Args:
        stated: Microns per pixel of the file's metadata, or None.
        given: What a person or program gives, or None.
        force: Whether it replaces a scale that the file states.

    Raises:
        UserError: The given scale is impossible.
    """
    if given is None:
        known = ScaleSource.UNKNOWN if stated is None else ScaleSource.FILE
        return Scale(stated, known, stated)
    given = check_mpp(given)
    if stated is None:
        return Scale(given, ScaleSource.GIVEN, None)
    if same_scale(stated, given):
        return Scale(stated, ScaleSource.FILE, stated)
    if force:
        note = f"The given {given:g} um/px is used in place of the {stated:g} that the file states."
        return Scale(given, ScaleSource.FORCED, stated, (note,))
    note = (
        f"The file states {stated:g} um/px, so the given {given:g} was not used; to use it all the"
        " same, add --force-mpp."
    )
    return Scale(stated, ScaleSource.FILE, stated, (note,))


def same_scale(one: float, other: float) -> bool:
    """Whether two scales in microns per pixel differ by rounding alone."""
    return abs(one - other) <= _SAME * min(one, other)
