"""Checks of what a path leads to: an ordinary file, a folder, gzip, room for temporary files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from muse_core.errors import UserError, cannot

_GZIP = b"\x1f\x8b"
_LFS = b"version https://git-lfs"
_HTML = (b"<!doctype html", b"<html")
_START_BYTES = 64


def as_path(path: object) -> Path:
    """Return what a script gives as a path.

    Raises:
        UserError: It is neither a text nor a path: an array, an open file, None, a list of paths;
            or it holds a null character, which no name of a file has.
    """
    if isinstance(path, str | os.PathLike):
        text = os.fspath(path)
        if isinstance(text, str):
            if "\0" in text:
                raise UserError(f"{text!r} holds a null character, which no name of a file has.")
            return Path(text)
    raise UserError(f"A file is given by its path, not by something of type {type(path).__name__}.")


def require_file(path: str | Path) -> Path:
    """Return a path that leads to an ordinary file.

    Raises:
        UserError: There is none, or it is a folder, a pipe or a device, or what servers give in
            place of a file.
    """
    source = Path(path)
    try:
        if source.is_file():
            _require_no_placeholder(source)
            return source
        if source.is_dir():
            raise UserError(f"{source} is a folder; give a file.")
        if source.exists():
            raise UserError(f"{source} is a pipe or a device; give an ordinary file.")
    except OSError as error:
        raise cannot("open", source, error) from error
    raise UserError(f"There is no file {source}.")


def is_gzip(path: str | Path) -> bool:
    """Whether a file is packed with gzip, whatever its name; False where it cannot be read."""
    return _start_of(Path(path)).startswith(_GZIP)


def _require_no_placeholder(source: Path) -> None:
    start = _start_of(source).lstrip().lower()
    if start.startswith(_LFS):
        raise UserError(
            f"{source} is a pointer of Git LFS and not the file itself; fetch that with git lfs"
            " pull, or download it."
        )
    if start.startswith(_HTML):
        raise UserError(
            f"{source} is a web page and not the file itself; the server may have asked for a"
            " login. Download the file again."
        )


def _start_of(source: Path) -> bytes:
    try:
        if not source.is_file():  # a pipe would be waited for
            return b""
        with source.open("rb") as file:
            return file.read(_START_BYTES)
    except OSError:
        # Whoever reads the file says why it cannot be read.
        return b""


def require_folder(path: str | Path) -> Path:
    """Return a path that leads to a folder.

    Raises:
        UserError: There is none, or it is a file.
    """
    source = Path(path)
    try:
        if source.is_dir():
            return source
        if source.exists():
            raise UserError(f"{source} is a file; give a folder.")
    except OSError as error:
        raise cannot("open", source, error) from error
    raise UserError(f"There is no folder {source}.")


def require_text(name: str | Path) -> str:
    """Return a name if it is valid Unicode, so that it can be written into files.

    Raises:
        UserError: It is not, as Linux allows.
    """
    try:
        str(name).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{str(name)!a} is a name that is no text; rename it.") from error
    return str(name)


def with_name(path: str | Path) -> Path:
    """Return a path that ends in the name of the file or folder, and not in "." or ".."."""
    source = Path(path)
    return Path(os.path.realpath(source)) if source.name in ("", "..") else source


def temporary_folder(purpose: str) -> str:
    """Return the system's folder for temporary files.

    Args:
        purpose: What one is needed for, to begin the error with.

    Raises:
        UserError: No such folder can be written.
    """
    try:
        return tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UserError(
            f"{purpose}: no folder for temporary files can be written; name one in the environment"
            " variable TMPDIR."
        ) from error
