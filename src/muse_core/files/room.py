"""Recognise errors that are due to a full disk, and say what becomes of the work."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from muse_core.errors import UserError

GOES_ON = "The same command goes on from there."
"""Ends sentences about work that was stopped and is kept."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def no_room_sentence(error: BaseException) -> str:
    """A sentence for the user if an error, or its cause, is a full disk; else ""."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _NO_ROOM:
            where = f" {seen.filename}" if seen.filename else ""
            return f"Cannot write{where}: {os.strerror(seen.errno)}."
        seen = seen.__cause__ or seen.__context__
    return ""


@contextlib.contextmanager
def resumable(kept: Path) -> Iterator[None]:
    """Context for work that the same command resumes wherever a file with its state exists.

    Raises:
        UserError: As raised in the block; that of a full disk says that the work can be resumed.
    """
    try:
        yield
    except UserError as error:
        if no_room_sentence(error) and kept.is_file():
            raise UserError(f"{error} {GOES_ON}") from error
        raise
