"""The one exception that is meant for the user's eyes."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user can put right; the message is one clear sentence.

    The command line prints it and exits with code 2, the napari panel shows it as it is.
    """


def cannot(do: str, what: object, error: OSError) -> UserError:
    """Return the error of a file or folder that the system refuses, in the system's own words.

    Args:
        do: "read", "write" or "open".
        what: Its path, or what users call it.
        error: Of the system.
    """
    return UserError(f"Cannot {do} {what}: {error.strerror or error}.")
