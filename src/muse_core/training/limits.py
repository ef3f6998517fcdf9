"""Limits of settings that pretraining and fine-tuning share. Imports no torch."""

from __future__ import annotations

from muse_core.errors import UserError

MOST_RATE = 1e30
"""Largest learning rate; its products are still numbers of 32 bits."""
_MOST_WORKERS = 256


def check_workers(workers: int) -> None:
    """Refuse a number of processes that would bring a machine to a standstill.

    Raises:
        UserError: It is negative or too large.
    """
    if not 0 <= workers <= _MOST_WORKERS:
        raise UserError(f"workers lies between 0 and {_MOST_WORKERS}.")
