"""Sentences for errors of the system that a user can fix."""

from __future__ import annotations

import errno
import os

from muse_core.files.room import no_room_sentence

_TO_PUT_RIGHT = frozenset(
    (
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EIO,
        errno.ENXIO,
        errno.ENODEV,
        errno.ENFILE,
        errno.EMFILE,
        # Of Windows, for names that it does not allow and shares that have gone.
        errno.EINVAL,
        errno.ETIMEDOUT,
        getattr(errno, "ESTALE", errno.EIO),
        getattr(errno, "EHOSTDOWN", errno.EIO),
    )
)
_LONGEST_NAME = 200
_NO_THREAD = "can't start new thread"
"""What Python's RuntimeError says where the system starts no more of them."""

_NO_LIBRARY = "failed to map segment"
"""What the loader of libraries says where no memory is left for one."""


def system_sentence(error: BaseException) -> str:
    """A sentence for the user if the system refused a file, room, memory or a thread; else ""."""
    full = no_room_sentence(error) or _no_memory_sentence(error) or _no_thread_sentence(error)
    if full or not isinstance(error, OSError):
        return full
    if error.errno is None or error.errno not in _TO_PUT_RIGHT:
        return ""
    if not isinstance(error.filename, str | bytes | os.PathLike):
        return ""
    named = os.fsdecode(error.filename)
    shown = named if len(named) <= _LONGEST_NAME else f"{named[:_LONGEST_NAME]}..."
    return f"Cannot use {shown}: {os.strerror(error.errno)}."


def _no_memory_sentence(error: BaseException) -> str:
    of_system = isinstance(error, OSError) and error.errno == errno.ENOMEM
    # As the loader says it of a library, and torch of an array.
    words = (_NO_LIBRARY, os.strerror(errno.ENOMEM))
    of_library = isinstance(error, ImportError | RuntimeError) and any(
        word in str(error) for word in words
    )
    if not (isinstance(error, MemoryError) or of_system or of_library):
        return ""
    return (
        "There is not enough memory: that of the machine is used up, or a limit on it (ulimit -v,"
        " or the container's) is reached."
    )


def _no_thread_sentence(error: BaseException) -> str:
    of_python = isinstance(error, RuntimeError) and str(error) == _NO_THREAD
    # As C++ says it in Arrow's and OpenVINO's errors; of a file the system means something else.
    of_library = not isinstance(error, OSError) and os.strerror(errno.EAGAIN) in str(error)
    if not (of_python or of_library):
        return ""
    return (
        "The system starts no more threads: the limit of processes (ulimit -u, or the container's)"
        " or of memory is reached."
    )
