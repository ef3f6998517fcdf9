"""Runs each writer on a disk that is full at its beginning, in its middle and at its end.

Arguments: folder with ``inputs/`` and ``out/``, and how the disk is filled, "fill" or "limit".
Prints a line per error; a crash shows in the exit code.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.files.writers import WRITERS
from tests.small_disk import fill

from muse_core.errors import UserError

ROOM_BYTES = (0, 8_192, 40_960, 90_112, 180_224)
# Files that are appended to keep their content; the log of a store is part of it.
MAY_REMAIN: dict[str, set[str]] = defaultdict(set)
MAY_REMAIN["s.muse"] = {"s.muse", "s.muse-wal", "s.muse-shm", "s.muse.lock"}
MAY_REMAIN["rois"] = {"rois"}
ENDINGS = ("No space left on device.", "File too large.", "disk is full.", "disk I/O error.")


@contextlib.contextmanager
def _filled(folder: Path, room: int) -> Iterator[Any]:
    """Leave only this much free space on the disk; a block of tmpfs is a page."""
    fill(folder)
    ballast = folder / "ballast"
    if room:
        os.truncate(ballast, max(0, ballast.stat().st_size - room))
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def _limited(folder: Path, room: int) -> Iterator[Any]:
    """Limit the size of files that this process writes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _try(name: str, out: Path, way: str, room: int) -> str | None:
    """The error, or None; "written" and "refused" are both right."""
    write, check = WRITERS[name]
    target = out / name
    refusal = ""
    with (_filled if way == "fill" else _limited)(out, room):
        try:
            write(target)
        except UserError as error:
            refusal = str(error)
        except BaseException as error:
            return f"{name} with {room} B: {type(error).__name__}: {error}"
    left = {p.name for p in out.iterdir()} - MAY_REMAIN[name]
    wrong = None
    if refusal and not refusal.endswith(ENDINGS):
        wrong = refusal
    elif left - {name} or (refusal and left):
        wrong = f"{refusal or 'written'} leaves {left}"
    elif not refusal or (target.exists() and name != "rois"):
        check(target)
    for path in out.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return f"{name} with {room} B: {wrong}" if wrong else None if refusal else "written"


def main() -> None:
    """Try all writers."""
    folder, way = Path(sys.argv[1]), sys.argv[2]
    for name in WRITERS:
        results = [_try(name, folder / "out", way, room) for room in ROOM_BYTES]
        wrong = [r for r in results if r not in (None, "written")]
        if not wrong and results[0] is not None:
            wrong = [f"{name} says that it was written to a full disk"]
        for line in wrong:
            print(line, flush=True)


main()
