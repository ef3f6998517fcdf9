"""Files without a name, of which nothing remains whatever becomes of the program."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from pathlib import Path
from typing import IO


def unnamed_file(folder: Path) -> IO[bytes]:
    """Open a new file in a folder for writing and reading.

    Where Windows does not let the user write, the standard library's own function takes that for
    a name that is there already, and tries two thousand million others.

    Raises:
        OSError: Nothing can be made there.
    """
    if sys.platform == "win32":
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_BINARY | os.O_TEMPORARY
        path = folder / f".muse-{secrets.token_hex(8)}"
        return os.fdopen(os.open(path, flags), "w+b")
    return tempfile.TemporaryFile(dir=folder)
