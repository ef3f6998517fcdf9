"""Errors of SQLite, and what the user is told of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from muse_core.errors import UserError


def damaged(name: str, reason: str) -> UserError:
    """Return the error for a damaged store, which says what to do.

    Args:
        name: Of the file.
        reason: What is wrong, without a full stop.
    """
    # SQLite quotes the descriptions of tables, which have several lines.
    line = " ".join(reason.split())
    return UserError(f"{name} is damaged: {line}. muse rescue reads what is left of it.")


def is_damage(error: Exception) -> bool:
    """Whether an error of SQLite says that its file is damaged."""
    return _code(error) == sqlite3.SQLITE_CORRUPT


def why_not_open(path: Path, error: Exception, made: bool) -> UserError:
    """Return the error for a file that could not be opened.

    Args:
        path: The file.
        error: Of SQLite, or of text that is no UTF-8.
        made: Whether it was to be created.
    """
    # A full or failing disk, and not a damaged file.
    if made or _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return UserError(f"Could not save to {path}: {reason(error)}.")
    if is_busy(error):
        return UserError(f"{path} cannot be opened: {reason(error)}.")
    if is_damage(error):
        return damaged(path.name, str(error))
    line = " ".join(str(error).split())
    return UserError(f"{path.name} is not a readable annotation store: {line}.")


def _code(error: Exception) -> int:
    """SQLite's number for the kind of an error, 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_full_disk(error: Exception) -> bool:
    """Whether there is no room, also for the index of the log, which SQLite reports as an error."""
    exact = getattr(error, "sqlite_errorcode", 0)
    return exact == sqlite3.SQLITE_IOERR_SHMSIZE or _code(error) == sqlite3.SQLITE_FULL


def is_busy(error: Exception) -> bool:
    """Whether another program, which does not heed our lock, is using the file."""
    return _code(error) == sqlite3.SQLITE_BUSY


def reason(error: Exception) -> str:
    """Return what is wrong, without a full stop."""
    if is_busy(error):
        return "another program has locked it, or files cannot be locked where it lies"
    return "database or disk is full" if is_full_disk(error) else str(error)
