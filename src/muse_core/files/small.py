"""Small files that people write by hand, read whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def text_of(content: bytes) -> str:
    """Decode Unicode: Windows editors add a byte order mark, and PowerShell writes UTF-16.

    Raises:
        ValueError: It is something else.
    """
    return content.decode(json.detect_encoding(content))


def parse_json(text: str) -> Any:
    """Parse JSON that a person may have written.

    Raises:
        ValueError: It is none, or names something twice, of which the last would count.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return values
