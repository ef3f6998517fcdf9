"""Recognise errors that are due to a full disk."""

from __future__ import annotations

import errno
import os

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
