"""Identity of the image that a slide shows, independent of how its path was written."""

from __future__ import annotations

import os
from pathlib import Path

from muse_core.slides import Slide

SlideKey = tuple[str, str]


def slide_key(slide: Slide) -> SlideKey:
    """Return a key that is equal for slides of the same image and plane of the same file."""
    return _file_key(slide.path), slide.part


def _file_key(path: Path) -> str:
    """Return the same for all spellings of a path: relative, through links, in another case."""
    try:
        found = path.stat()
    except OSError:
        return os.path.normcase(path.resolve())
    # Some network drives number no files.
    if not found.st_ino:
        return os.path.normcase(path.resolve())
    return f"{found.st_dev}:{found.st_ino}"
