"""Tiles whose pixels cannot be read are tried again, then skipped and reported to the user."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from muse_core.errors import UserError
from muse_core.files.remote import UnreachableError
from muse_core.slides import Region

TRY_TILE_AGAIN_AFTER_S = (0.05, 0.25)
"""Pauses before a tile is tried again: a network drive mostly answers the second time."""
_SHOWN = 5
_T = TypeVar("_T")


@dataclass(frozen=True)
class Unreadable:
    """A part of the slide that could not be read.

    Attributes:
        region: Where, level-0 pixels.
        reason: A sentence.
    """

    region: Region
    reason: str


def tried(read: Callable[[], _T], region: Region) -> _T | Unreadable:
    """Return what reading gives, or the error after several tries.

    Raises:
        UnreachableError: All of the slide cannot be read, not just this place.
    """
    for pause_s in (*TRY_TILE_AGAIN_AFTER_S, None):
        try:
            return read()
        except UnreachableError:
            raise
        except (UserError, OSError) as error:
            reason = str(error)
        if pause_s is not None:
            time.sleep(pause_s)
    return Unreadable(region, reason)


def unreadable_note(unreadable: Sequence[Unreadable], tiles: int) -> str:
    """Return one sentence for the user about all unreadable tiles, with the places of the first."""
    places = "; ".join(_place(u.region) for u in unreadable[:_SHOWN])
    more = f"; and {len(unreadable) - _SHOWN:,} more" if len(unreadable) > _SHOWN else ""
    return (
        f"{len(unreadable):,} of {tiles:,} tiles could not be read and hold no nuclei"
        f" (x,y,w,h in px: {places}{more}): {unreadable[0].reason}"
    )


def place_of(region: Region) -> tuple[float, float, float, float]:
    """(x, y, w, h) of a region, for files."""
    return round(region.x, 3), round(region.y, 3), round(region.w, 3), round(region.h, 3)


def _place(region: Region) -> str:
    return ",".join(f"{v:.0f}" for v in (region.x, region.y, region.w, region.h))
