"""Small files that people write by hand, read whole."""

from __future__ import annotations

from pathlib import Path

from muse_core.errors import UserError, cannot
from muse_core.ordinary import require_file

_MOST_BYTES = 1_000_000


def read_small(path: Path, noun: str, named: str) -> bytes:
    """Return the content of a file that can only be small.

    Args:
        path: The file.
        noun: What it should be, such as "class map".
        named: How sentences name it where it cannot be read.

    Raises:
        UserError: It cannot be read, or is larger than a megabyte.
    """
    if path.exists():
        # A pipe would be waited for.
        require_file(path)
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise cannot("read", named, error) from error
    if len(content) > _MOST_BYTES:
        raise UserError(f"{path} is no {noun}: it is larger than a megabyte.")
    return content
