"""Finding out before the work starts whether its result can be written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from muse_core.errors import UserError


def check_writable(path: str | Path, unlike: str | Path | None = None) -> Path:
    """Make sure a file can be written; leaves nothing behind and an existing file untouched.

    Args:
        path: The file to be.
        unlike: An input file that must not be overwritten.

    Returns:
        The path.

    Raises:
        UserError: Its folder is missing, it is a folder itself, it is the input, or writing there
            is not allowed.
    """
    target = Path(path)
    if target.is_dir():
        raise UserError(f"Cannot write {target}: it is a folder.")
    if unlike is not None and target.exists() and target.samefile(unlike):
        raise UserError(f"Cannot write {target}: it is the input itself.")
    if not target.parent.is_dir():
        raise UserError(f"Cannot write {target}: there is no folder {target.parent}.")
    try:
        # Asked by doing it: permission bits say little on Windows, for root, or on network drives.
        with tempfile.TemporaryFile(dir=target.parent, prefix=f".{target.name}."):
            pass
        if target.exists():
            with target.open("ab"):
                pass
    except OSError as error:
        raise UserError(f"Cannot write {target}: {error.strerror or error}.") from error
    return target
