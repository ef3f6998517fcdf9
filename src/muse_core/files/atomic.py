"""Atomic writes: after a crash or power cut there is either the old file or the new one."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from muse_core.errors import UserError, cannot
from muse_core.files.litter import is_litter
from muse_core.files.locking import only_one
from muse_core.files.targets import (
    descriptor_of,
    destination,
    is_special,
    require_parent,
    require_permission,
)
from muse_core.ordinary import temporary_folder

_NAME_CHARACTERS = 24
"""Characters of the target's name in the name of the partial file, which must not be too long."""
_TRIES = 100
_AGAIN_AFTER_S = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Pauses before Windows is asked again to move what another program has open: scanners for viruses
and indexers open new files for a moment."""


@contextlib.contextmanager
def replacing(target: str | Path, over_full_folder: bool = True) -> Iterator[Path]:
    """Give a path to write a file or folder to, which replaces the target if the block succeeds.

    The path is beside the target, so that the final rename stays on one file system and is atomic;
    all data is flushed to disk before it. Links are followed: the file they lead to is replaced and
    keeps its permissions. A folder can replace a folder; a file cannot. Special files, such as a
    pipe or /dev/null, are written to when the block has ended. No partial file remains; one of a
    program that was killed while it wrote is removed when the target is written again.

    Args:
        target: What to write, in a folder that exists.
        over_full_folder: Whether a folder with something in it may be replaced.

    Raises:
        UserError: The target cannot be written, or an OSError came up in the block.
    """
    named = Path(target)
    try:
        final = destination(named)
        if is_special(final):
            folder = temporary_folder(f"Cannot write {named}")
            with tempfile.TemporaryDirectory(prefix="muse-", dir=folder) as scratch:
                partial = Path(scratch) / named.name
                yield partial
                _pour(partial, final)
            return
        require_parent(named, final)
        require_permission(final)
        _remove_abandoned(final)
        partial = _neighbour(final)
        with _alive(partial):
            try:
                yield partial
                _take_place(partial, final, over_full_folder)
            finally:
                _remove(partial)
    except OSError as error:
        # The text of libraries' errors may contain the name of the partial file.
        reason = os.strerror(error.errno) if error.errno else str(error).rstrip(".")
        if sys.platform == "win32" and isinstance(error, PermissionError):
            reason += "; is it open in another program?"
        raise UserError(f"Cannot write {named}: {reason}.") from error


def make_folder(folder: Path) -> None:
    """Make a folder, or the one a link leads to, and those above it, unless it is there.

    Raises:
        UserError: It cannot be made.
    """
    try:
        destination(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot("write", folder, error) from error


def _neighbour(final: Path) -> Path:
    """A hidden name beside a target that no other thread or program uses."""
    return final.with_name(f"{_start_of_neighbours(final)}{secrets.token_hex(4)}.partial")


def _start_of_neighbours(final: Path) -> str:
    return f".{final.name[:_NAME_CHARACTERS]}."


@contextlib.contextmanager
def _alive(partial: Path) -> Iterator[None]:
    """Hold the lock of a partial file while it is written; the system frees that of the dead."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(UserError):  # where there are no locks, nothing is removed
            held.enter_context(only_one(partial))
        yield


def _remove_abandoned(final: Path) -> None:
    """Remove partial files of a target whose programs were killed, and their locks."""
    start = glob.escape(f".{_start_of_neighbours(final)}")
    with contextlib.suppress(OSError):
        # By pattern: a folder of ROIs has thousands of files, and each is written through here.
        for lock in final.parent.glob(f"{start}{'[0-9a-f]' * 8}.partial.lock"):
            left = lock.with_name(lock.name[1:].removesuffix(".lock"))
            with contextlib.suppress(UserError), only_one(left):
                _put_back(_aside(left), final)
                _remove(left)


def _aside(partial: Path) -> Path:
    """Where the folder is moved that a partial one replaces."""
    return partial.with_suffix(".old")


def _put_back(old: Path, final: Path) -> None:
    """Restore a folder whose program was killed before the new one was in its place."""
    with contextlib.suppress(OSError):  # not there, or the new one is
        old.rename(final)
    _remove(old)


def _pour(partial: Path, special: Path) -> None:
    """Copy a file into a pipe, a device or a file that is already open."""
    if partial.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(special))
    descriptor = descriptor_of(special)
    if descriptor == 1:
        sys.stdout.flush()
    with partial.open("rb") as source, _opened(special, descriptor) as out:
        shutil.copyfileobj(source, out)


def _opened(special: Path, descriptor: int | None) -> BinaryIO:
    return special.open("wb") if descriptor is None else os.fdopen(os.dup(descriptor), "wb")


def _take_place(partial: Path, final: Path, over_full_folder: bool) -> None:
    _put_on_disk(partial)
    _keep_permissions(final, partial)
    if partial.is_dir():
        _replace_folder(partial, final, over_full_folder)
    elif final.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(final))
    else:
        _move(partial.replace, final)
    _put_entry_on_disk(final.parent)


def _replace_folder(partial: Path, final: Path, over_full_folder: bool) -> None:
    """Replace a folder; the old one is deleted only when the new one is in its place.

    A program killed between the two renames leaves both folders, complete, beside the target; the
    next that writes it puts the old one back. If two programs do this at once, the last one wins.
    """
    old = _aside(partial)
    for _ in range(_TRIES):
        _move_away(final, old, over_full_folder)
        try:
            _move(partial.rename, final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                if old.exists():
                    _move(old.rename, final)
                raise
            # Another program was faster; its folder is the old one now.
            _remove(old)
        else:
            _remove(old)
            return
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(final))


def _move_away(final: Path, old: Path, over_full_folder: bool) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(final.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(final))
        if not over_full_folder and not all(is_litter(p.name) for p in final.iterdir()):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(final))
        _move(final.rename, old)


def _move(move: Callable[[Path], object], to: Path) -> None:
    """Move a file or folder with a method of its path; Windows is asked several times."""
    for pause_s in _AGAIN_AFTER_S if sys.platform == "win32" else ():
        try:
            move(to)
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    move(to)


def _keep_permissions(old: Path, new: Path) -> None:
    """Give a file or folder the owner, group and mode of the one it replaces, if any."""
    try:
        facts = old.stat()
    except FileNotFoundError:
        return
    if sys.platform != "win32":
        # Only root may change the owner; others may set one of their own groups. In a container
        # the owner may have no number at all, and network drives may have no owners.
        for owner, group in ((facts.st_uid, -1), (-1, facts.st_gid)):
            with contextlib.suppress(OSError):
                os.chown(new, owner, group)
    # Where all files have the mode of the drive, as on SMB and exFAT, none may be set.
    mode = stat.S_IMODE(facts.st_mode)
    if stat.S_IMODE(new.stat().st_mode) != mode:
        new.chmod(mode)


def _put_on_disk(path: Path) -> None:
    """Flush a file or folder to disk.

    Some file systems, network drives above all, report a full disk only then.
    """
    if not path.is_dir():
        _flush(path)
        return
    for parent, _, names in os.walk(path):
        for name in names:
            _flush(Path(parent, name))
        _put_entry_on_disk(Path(parent))


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system without it
            raise
    finally:
        os.close(descriptor)


def _put_entry_on_disk(folder: Path) -> None:
    """Flush the entries of a folder to disk, if the system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
