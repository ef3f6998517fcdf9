"""Damaged stores: how SQLite reports them, and what the user is told."""

from __future__ import annotations

import sqlite3

from muse_core.errors import UserError


def damaged(name: str, reason: str) -> UserError:
    """Return the error for a damaged store, which says what to do.

    Args:
        name: Of the file.
        reason: What is wrong, without a full stop.
    """
    return UserError(f"{name} is damaged: {reason}. muse rescue reads what is left of it.")


def is_damage(error: Exception) -> bool:
    """Whether an error of SQLite says that its file is damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT
