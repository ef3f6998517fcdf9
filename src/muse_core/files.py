"""Writing files so that a crash leaves the old one or the new one, never half; their hashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from muse_core.errors import UserError


@contextlib.contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """A path to write a file or folder to, which takes the target's place when the block ends well.

    It is the target's neighbour, so that the final rename stays on one file system and is atomic.
    A folder may take the place of a folder, a file never does. Whatever happens, no partial file
    remains; only a program killed while it writes leaves one.

    Args:
        target: What to write, in a folder that exists or that the block makes.

    Raises:
        UserError: The target cannot be written.
    """
    final = Path(target)
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    try:
        yield partial
        if partial.is_dir() and final.is_dir():
            _replace_folder(partial, final)
        else:
            partial.replace(final)
    except OSError as error:
        # Libraries put the name of the partial file and more into the text of their errors.
        reason = os.strerror(error.errno) if error.errno else error
        raise UserError(f"Cannot write {final}: {reason}.") from error
    finally:
        _remove(partial)


def sha256_of(path: Path) -> str:
    """Changes with the content of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless it is there.

    Raises:
        UserError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot write {folder}: {error.strerror or error}.") from error


def _replace_folder(partial: Path, final: Path) -> None:
    """Put a folder in another's place; the old one is deleted only once the new one is there.

    A program killed between the two renames leaves both beside the target, whole.
    """
    old = final.with_name(f".{final.name}.{os.getpid()}.old")
    final.rename(old)
    try:
        partial.rename(final)
    except OSError:
        old.rename(final)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
