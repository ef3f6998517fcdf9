"""Disk cache of overviews, found by the image's file and bounded in total size."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from muse_core.files import unnamed_file
from muse_core.files.user_folders import user_cache_folder
from muse_core.slides.overview import FACTOR, OverviewLevel
from muse_core.slides.slide import Slide

MAX_BYTES = 2 << 30
"""Of all overviews together; an image whose overview alone would take more gets none."""
OVERVIEWS_VARIABLE = "MUSE_OVERVIEWS"
"""Environment variable: the folder of the overviews, instead of one in the user's cache."""
_DONE = "done"
_ABANDONED_S = 24 * 3600
_SHARE_OF_DISK = 0.5
Sizes = list[tuple[int, int]]


def overview_folder() -> Path:
    """Return the folder of all overviews; it need not exist."""
    folder = os.environ.get(OVERVIEWS_VARIABLE)
    return Path(folder) if folder else user_cache_folder() / "overviews"


def find_overview(slide: Slide, sizes: Sizes) -> list[OverviewLevel] | None:
    """The levels that were made of a slide before, or None; raises OSError."""
    for folder in sorted(overview_folder().glob(f"{_key(slide, sizes)}-*")):
        try:
            os.utime(folder / _DONE)
            levels = _levels(slide, folder, sizes)
            whole = all(x.path.stat().st_size == x.height * x.width * 3 for x in levels)
        except OSError:
            # Half made, or being made by another window.
            continue
        if whole:
            for level in levels:
                level.grow_to(level.height)
            return levels
    return None


def begin_overview(slide: Slide, sizes: Sizes) -> list[OverviewLevel] | None:
    """Empty levels to be made, or None where there is no room for them; raises OSError."""
    root = overview_folder()
    root.mkdir(parents=True, exist_ok=True)
    needed = sum(height * width * 3 for height, width in sizes)
    if needed > min(MAX_BYTES, _SHARE_OF_DISK * shutil.disk_usage(root).free):
        return None
    with unnamed_file(root):
        pass  # else tempfile would try other names for ever where Windows refuses all
    _make_room(root, needed)
    folder = Path(tempfile.mkdtemp(prefix=f"{_key(slide, sizes)}-", dir=root))
    return _levels(slide, folder, sizes)


def finish_overview(levels: list[OverviewLevel]) -> None:
    """Mark all levels as complete, so that they are found the next time; raises OSError."""
    (levels[0].path.parent / _DONE).touch()


def drop_overview(levels: list[OverviewLevel]) -> None:
    """Remove an overview that was begun."""
    shutil.rmtree(levels[0].path.parent, ignore_errors=True)


def _levels(slide: Slide, folder: Path, sizes: Sizes) -> list[OverviewLevel]:
    base = slide.source.levels[-1]
    return [
        OverviewLevel(base, folder / f"{n}.rgb", height, width, FACTOR ** (n + 1))
        for n, (height, width) in enumerate(sizes)
    ]


def _key(slide: Slide, sizes: Sizes) -> str:
    """The same while the file is."""
    path = slide.path.resolve()
    found = path.stat()
    facts = f"{path} {found.st_size} {found.st_mtime_ns} {slide.choice} {sizes}"
    return hashlib.sha256(facts.encode()).hexdigest()[:24]


def _make_room(root: Path, needed: int) -> None:
    """Remove the least recently used overviews, and unfinished ones that nobody is writing."""
    kept = []
    for folder in root.iterdir():
        try:
            files = [path.stat() for path in folder.iterdir()]
            used = max((file.st_mtime for file in files), default=folder.stat().st_mtime)
            whole = (folder / _DONE).exists()
        except OSError:
            continue
        if not whole and time.time() - used > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            kept.append((used, sum(file.st_size for file in files), whole, folder))
    total = needed + sum(size for _, size, _, _ in kept)
    for _, size, whole, folder in sorted(kept, key=lambda entry: entry[0]):
        if total <= MAX_BYTES:
            return
        if whole:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size
