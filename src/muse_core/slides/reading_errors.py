"""Errors of slides that cannot be read to their end."""

from __future__ import annotations

from muse_core.errors import UserError


def truncated(name: str) -> UserError:
    """The error of a file that ends too early."""
    return UserError(f"{name} is truncated: it is shorter than its directory says.")
