"""Files that are read for long, and that others may rename and delete meanwhile."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import sys
from pathlib import Path

if sys.platform == "win32":
    import _winapi
    import msvcrt

_SHARE_ALL = 0x7
"""FILE_SHARE_READ, FILE_SHARE_WRITE and FILE_SHARE_DELETE of Windows."""
_NORMAL = 0x80
"""FILE_ATTRIBUTE_NORMAL of Windows."""


def open_deletable(path: Path) -> io.FileIO:
    """Open a file for reading, unbuffered, without keeping anyone from renaming or deleting it.

    Windows refuses both for a file that was opened in the ordinary way.

    Raises:
        OSError: It cannot be opened.
    """
    if sys.platform == "win32":
        handle = _winapi.CreateFile(
            str(path), _winapi.GENERIC_READ, _SHARE_ALL, 0, _winapi.OPEN_EXISTING, _NORMAL, 0
        )
        return io.FileIO(msvcrt.open_osfhandle(handle, os.O_RDONLY))
    return io.FileIO(path)


def remove_deletable(path: Path) -> None:
    """Remove a file, if it is there, so that a new one can be made in its place at once.

    Until the last who reads it has closed it, Windows may keep the name of a deleted file: hence it
    goes under another one.

    Raises:
        OSError: It cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        path.replace(path.with_name(f".{path.name}.{secrets.token_hex(4)}")).unlink()
