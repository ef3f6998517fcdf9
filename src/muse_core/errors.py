"""UserError, the exception whose message is shown to users."""

from __future__ import annotations


class UserError(ValueError):
    """An error that the user can fix; the message is one clear sentence.

    The command line prints it and exits with code 2, the napari panel shows it as it is.
    """


def cannot(do: str, what: object, error: OSError) -> UserError:
    """Return the error for a file or folder that the system refuses, with the system's reason.

    Args:
        do: "read", "write" or "open".
        what: Its path, or what users call it.
        error: Of the system.
    """
    return UserError(f"Cannot {do} {what}: {error.strerror or error}.")


def out_of_reach(name: str, error: OSError) -> UserError:
    """Return the error for an open file whose drive or share no longer answers."""
    return UserError(
        f"{name} cannot be read any more ({error.strerror}); is its drive or share still connected?"
    )
