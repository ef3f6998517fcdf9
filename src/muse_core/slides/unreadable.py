"""Places of a slide whose pixels cannot be read; the user is told where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from muse_core.slides.region import Region

_SHOWN = 5


@dataclass(frozen=True)
class Unreadable:
    """A part of a slide that could not be read.

    Attributes:
        region: Where, level-0 pixels.
        reason: A sentence.
    """

    region: Region
    reason: str


def unreadable_note(unreadable: Sequence[Unreadable]) -> str:
    """Return one sentence for the user about all such places, with where the first are."""
    places = "; ".join(_place(u.region) for u in unreadable[:_SHOWN])
    more = f"; and {len(unreadable) - _SHOWN:,} more" if len(unreadable) > _SHOWN else ""
    what = (
        "1 place of the slide could not be read and holds no nuclei"
        if len(unreadable) == 1
        else f"{len(unreadable):,} places of the slide could not be read and hold no nuclei"
    )
    return f"{what} (x,y,w,h in px: {places}{more}): {unreadable[0].reason}"


def place_of(region: Region) -> tuple[float, float, float, float]:
    """(x, y, w, h) of a region, for files."""
    return round(region.x, 3), round(region.y, 3), round(region.w, 3), round(region.h, 3)


def _place(region: Region) -> str:
    return ",".join(f"{v:.0f}" for v in (region.x, region.y, region.w, region.h))
