"""Errors of slides that cannot be read to their end."""

from __future__ import annotations

from muse_core.errors import UserError


def truncated(name: str) -> UserError:
    """The error of a file that ends too early."""
    return UserError(f"{name} is truncated: it is shorter than its directory says.")


def out_of_reach(name: str, error: OSError) -> UserError:
    """The error of an open file whose drive or share no longer answers."""
    return UserError(
        f"{name} cannot be read any more ({error.strerror}); is its drive or share still connected?"
    )
