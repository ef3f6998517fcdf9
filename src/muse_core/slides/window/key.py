"""The key that a window gives its jobs, and the placeholder file of an image of the window."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
from pathlib import Path
from typing import Any

from muse_core.errors import UserError
from muse_core.files.names import portable
from muse_core.slides.content import WINDOW_MAGIC

LAYER_SUFFIX = ".layer"
"""Suffix of the placeholder files."""
ADDRESS_FILE = "address"
"""Name of the file with the window's address, beside the folders of placeholder files."""
_VARIABLE = "MUSE_WINDOW_KEY"
_LONGEST = 4096
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME = 80
Address = str | tuple[str, int]


def window_key() -> bytes:
    """The secret key of this process, which its jobs are given."""
    return bytes(multiprocessing.current_process().authkey)


def job_variables() -> dict[str, str]:
    """Environment variables with which a job can read the images of this window."""
    return {_VARIABLE: window_key().hex()}


def given_key() -> bytes | None:
    """The key that this process was given, or None."""
    try:
        return bytes.fromhex(os.environ.get(_VARIABLE, "")) or None
    except ValueError:
        return None


def file_content(fingerprint: str) -> bytes:
    """Return the content of the placeholder of an image, the same in every window."""
    return WINDOW_MAGIC + b'"fingerprint": "' + fingerprint.encode() + b'"}\n'


def fingerprint_in(path: Path) -> str:
    """Return the fingerprint in a placeholder file; raises UserError where there is none."""
    try:
        with path.open("rb") as file:
            found = str(json.loads(file.read(_LONGEST))["fingerprint"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        found = ""
    if not _FINGERPRINT.fullmatch(found):
        raise UserError(f"{path.name} is damaged.")
    return found


def safe_name(name: str) -> str:
    """Turn a name into one that is a valid file name on every system."""
    kept = portable(name).strip(" .-")[:_LONGEST_NAME].strip(" .-")
    return portable(kept) or "image"


def write_address(folder: Path, address: Any) -> None:
    """Write the address of a window; raises OSError."""
    (folder / ADDRESS_FILE).write_text(json.dumps(address), encoding="utf-8")


def read_address(folder: Path) -> Address | None:
    """Return the address of a window, None where there is none or it is on another machine."""
    try:
        with (folder / ADDRESS_FILE).open(encoding="utf-8") as file:
            found = json.loads(file.read(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(found, list) and len(found) == 2 and found[0] == "127.0.0.1":
        return "127.0.0.1", int(found[1])
    # A pipe of Windows may be that of another machine, which would be told who asks.
    is_local = isinstance(found, str) and (found[:2] != "\\\\" or found.startswith("\\\\.\\pipe\\"))
    return found if is_local else None
