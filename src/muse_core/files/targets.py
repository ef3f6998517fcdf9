"""Kinds of output paths: a file, a folder, a pipe, a device."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from pathlib import Path

from muse_core.errors import UserError, cannot
from muse_core.files.unnamed import unnamed_file

_DESCRIPTORS = re.compile(
    r"/dev/(?:(stdout)|(stderr)|fd/(\d+))|/proc/(?:self|thread-self)/fd/(\d+)"
)
_MOST_LINKS = 40
_LOOKS = 10


def destination(path: str | Path) -> Path:
    """Resolve links to a file or folder, which need not exist; pipes and devices stay as named.

    Raises:
        OSError: Links lead in a circle, a folder on the way may not be searched, or Windows allows
            no file of the name.
    """
    named = Path(path)
    if is_special(named):
        return named
    real = Path(os.path.realpath(named))
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(named))
    if sys.platform == "win32" and ":" in real.name:
        # It would be a second content of the file before the colon, which no listing shows.
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(named))
    return real


def is_special(path: str | Path) -> bool:
    """Whether a path is neither a file nor a folder, but a pipe, a device or an open descriptor.

    Raises:
        OSError: It cannot be found out.
    """
    if descriptor_of(path) is not None:
        return True
    try:
        mode = Path(path).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def descriptor_of(path: str | Path) -> int | None:
    """The number of this program's open file that a path names, as /dev/stdout does, or None.

    Opening such a path again would truncate a file that other programs are writing to.
    """
    if sys.platform == "win32":
        return None
    step = Path(path).absolute()
    for _ in range(_MOST_LINKS):
        found = _DESCRIPTORS.fullmatch(str(step))
        if found:
            out, err, *numbers = found.groups()
            return 1 if out else 2 if err else int(next(n for n in numbers if n))
        if not step.is_symlink():
            return None
        step = Path(os.path.normpath(step.parent / step.readlink()))
    return None


def names_stdout(path: str | Path) -> bool:
    """Whether a path is standard output."""
    try:
        return descriptor_of(path) == 1 or os.path.samestat(Path(path).stat(), os.fstat(1))
    except OSError:
        return False


def check_writable(
    path: str | Path, unlike: str | Path | None = None, read_again: bool = False
) -> Path:
    """Check that a file can be written, before the work starts; changes nothing.

    Args:
        path: File to write.
        unlike: An input, file or folder, that must not be overwritten or changed.
        read_again: Whether the program will read the file again, so that no pipe or device will do.

    Returns:
        The path.

    Raises:
        UserError: Its folder is missing, it is a folder itself, it is the input or lies in it, or
            writing there is not allowed.
    """
    named = Path(path)
    try:
        target = destination(named)
        if target.is_dir():
            raise UserError(f"Cannot write {named}: it is a folder.")
        if read_again and is_special(target):
            raise UserError(f"Cannot write {named}: it is no file but a pipe or a device.")
        if unlike is not None:
            require_outside(named, unlike)
        require_parent(named, target)
        require_permission(target)
        if not is_special(target):
            require_writable_folder(named, target.parent)
            if target.exists():
                with target.open("ab"):
                    pass
            elif sys.platform == "win32":
                # Only trying tells there whether a name or path is too long. Closing removes it.
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_TEMPORARY))
    except OSError as error:
        raise cannot("write", named, error) from error
    return named


def require_outside(named: Path, source: str | Path) -> None:
    """Raise a UserError where a target is an input or lies in one, which it would change.

    Args:
        named: File or folder to write.
        source: An input, such as a slide in OME-Zarr; addresses hold no target.
    """
    folder = Path(source)
    try:
        target = destination(named)
    except OSError as error:
        raise cannot("write", named, error) from error
    if target.exists() and folder.exists() and target.samefile(folder):
        raise UserError(f"Cannot write {named}: it is the input itself.")
    if folder.is_dir() and folder.resolve() in target.resolve().parents:
        raise UserError(
            f"Cannot write {named}: it would lie in {folder.resolve().name}, which is read."
        )


def require_writable_folder(named: Path, folder: Path) -> None:
    """Raise a UserError where nothing can be made in the folder of a target.

    By trying: permission bits mean little on Windows, for root and on network drives.
    """
    try:
        with unnamed_file(folder):
            pass
    except OSError as error:
        raise cannot("write", named, error) from error


def require_parent(named: Path, target: Path) -> None:
    """Raise a UserError where there is no folder to write a target into."""
    if not is_special(target) and not target.parent.is_dir():
        parent = named.parent if not named.parent.is_dir() else target.parent
        raise UserError(f"Cannot write {named}: there is no folder {parent}.")


def require_permission(target: Path) -> None:
    """Raise a PermissionError where the system would let a file be replaced that is not ours to."""
    # Others may be replacing it just now, so that it is away for a moment.
    for _ in range(_LOOKS):
        if os.access(target, os.W_OK) or not target.exists() or descriptor_of(target) is not None:
            return
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
