"""Check that a slide's file stays the same while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from muse_core.errors import UserError

if TYPE_CHECKING:
    from muse_core.slides import Slide


class SlideChangedError(UserError):
    """The slide's file was changed while nuclei were looked for in it."""


@contextmanager
def unchanged(slide: Slide) -> Iterator[None]:
    """Context in which a slide is read, so that no result mixes two slides.

    Raises:
        SlideChangedError: The file is another one at the end than at the beginning.
        UserError: It cannot be read.
    """
    from muse_core.nuclei.store import identify_slide

    before = identify_slide(slide.location, slide.part)
    yield
    if identify_slide(slide.location, slide.part) != before:
        raise SlideChangedError(
            f"{slide.title} was changed or replaced while it was read, so nothing found in it is"
            " kept; detect again when no program writes it."
        )
