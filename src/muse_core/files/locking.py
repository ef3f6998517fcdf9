"""Locks on files that several programs change; the system releases them when a program dies.

The lock is a hidden file beside the protected one, because that one is replaced on each write.
Where a file system has no locks, as Lustre without ``flock`` or NFS without its lock daemon, a file
stands in for one; that of a program killed on another computer stays, and the sentence names it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from muse_core.errors import UserError
from muse_core.files.names import shortened
from muse_core.files.targets import destination, require_parent

_PATIENCE_S = 60.0
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors of file systems without locks; for ENOSYS the library has a file stand in itself."""
_STANDS_IN = "-file"
# The library says so for each file, in windows as a message of its own.
warnings.filterwarnings("ignore", "flock not supported", UserWarning)


@contextlib.contextmanager
def locked(path: str | Path, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Hold the lock of a file or folder while it is read, changed and written again.

    For changes of milliseconds; the lock file stays, since others may be waiting for it.

    Args:
        path: What is protected, in a folder that exists; need not exist itself.
        patience_s: How long to wait for others.

    Raises:
        UserError: Another program held it all the time, or it cannot be locked where it lies.
    """
    try:
        lock = _acquired(path, patience_s)
    except _HeldError as held:
        where = left_on(held.lock)
        raise UserError(f"{path} is being changed by another program{where}; try again.") from held
    except (OSError, NotImplementedError) as error:
        raise _refusal(path, error) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def only_one(path: str | Path, named: str | Path | None = None) -> Iterator[None]:
    """Hold the exclusive right to create a file or folder, for as long as that takes.

    The lock file is removed at the end.

    Args:
        path: File or folder to create, in a folder that exists.
        named: Name in error messages; path if left out.

    Raises:
        UserError: Another program is making it, or it cannot be locked where it lies.
    """
    try:
        lock = _acquired(path, 0)
    except _HeldError as held:
        where = left_on(held.lock)
        sentence = f"Cannot write {named or path}: another program is writing it{where}."
        raise UserError(sentence) from held
    except (OSError, NotImplementedError) as error:
        raise _refusal(named or path, error) from error
    try:
        yield
    finally:
        # Before the release: afterwards the lock file may be another program's.
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            Path(lock.lock_file).unlink()
        lock.release()


def left_on(lock: BaseFileLock) -> str:
    """On which computer a lock is held and how it is freed, where a file stands in for it; else "".

    The file of a real lock is empty. Copied to where there are none it looks like one that is held.
    """
    lock_file = Path(lock.lock_file)
    try:
        _, computer, *_ = lock_file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        # Only a file that stands in for a lock can tell its holder.
        return f" (if there is none, delete {lock_file})" if hasattr(lock, "pid") else ""
    return f" on {computer} (if it was killed there, delete {lock_file})"


def is_being_written(path: str | Path) -> bool:
    """Whether a program is making a file or folder under :func:`only_one`."""
    try:
        with only_one(path):
            return False
    except UserError:
        return True


class _HeldError(Exception):
    """Another program holds a lock."""

    def __init__(self, lock: BaseFileLock) -> None:
        super().__init__(lock.lock_file)
        self.lock = lock


def _acquired(path: str | Path, patience_s: float) -> BaseFileLock:
    """Acquire the lock of a file; where the file system has none, a file that stands in for it.

    Raises:
        _HeldError: Another program held it all the time.
        OSError: It cannot be made.
    """
    lock: BaseFileLock = _lock_of(path)
    was_there = os.path.lexists(lock.lock_file)
    try:
        lock.acquire(timeout=patience_s)
    except Timeout as error:
        raise _HeldError(lock) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        if not was_there:
            # Of another name than the file that stands in, which only its holder may remove.
            Path(lock.lock_file).unlink(missing_ok=True)
        lock = SoftFileLock(f"{lock.lock_file}{_STANDS_IN}")
        try:
            lock.acquire(timeout=patience_s)
        except Timeout as held:
            raise _HeldError(lock) from held
    return lock


def _lock_of(path: str | Path) -> FileLock:
    try:
        target = destination(path)
        # The library would create the missing folder.
        require_parent(Path(path), target)
    except OSError as error:
        raise _refusal(path, error) from error
    return FileLock(target.with_name(f".{shortened(target.name)}.lock"))


def _refusal(path: str | Path, error: Exception) -> UserError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return UserError(f"Cannot write {path}: {reason}.")
