"""Check that a slide's file stays the same while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muse_core.errors import UserError
from muse_core.nuclei.store.identity import identify_slide


class SlideChangedError(UserError):
    """A slide's file was changed while it was read."""


@contextmanager
def unchanged(slide: str | Path, part: str) -> Iterator[None]:
    """Context in which a slide is read, so that no result mixes two slides.

    Args:
        slide: File or folder, or the address of one.
        part: Which image and plane of it, as :attr:`muse_core.slides.Slide.part`.

    Raises:
        SlideChangedError: The file is another one at the end than at the beginning.
        UserError: It cannot be read.
    """
    before = identify_slide(slide, part)
    yield
    if identify_slide(slide, part) != before:
        raise SlideChangedError(
            f"{before.name} was changed or replaced while it was read, so nothing of it is kept;"
            " start again when no program writes it."
        )
