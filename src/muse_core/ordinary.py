"""Files to be read more than once or from the middle, which pipes and folders cannot be."""

from __future__ import annotations

from pathlib import Path

from muse_core.errors import UserError


def require_file(path: str | Path) -> Path:
    """Return a path that leads to an ordinary file.

    Raises:
        UserError: There is none, or it is a folder, a pipe or a device.
    """
    source = Path(path)
    try:
        if source.is_file():
            return source
        if source.is_dir():
            raise UserError(f"{source} is a folder; give a file.")
        if source.exists():
            raise UserError(f"{source} is a pipe or a device; give an ordinary file.")
    except OSError as error:
        raise UserError(f"Cannot open {source}: {error.strerror or error}.") from error
    raise UserError(f"There is no file {source}.")
