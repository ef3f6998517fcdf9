"""How much memory this process may use, and whether a batch fits into it."""

from __future__ import annotations

import psutil

from muse_core.control_groups import ControlGroups
from muse_core.errors import UserError

_IMAGE_BYTES = 15
"""Of a pixel: RGB as bytes and as float32, which lie here whatever the network runs on."""
_NETWORK_BYTES, _TRAINING_BYTES = 180, 400
"""The same with what torch holds of the smallest network, on a processor; measured."""


def usable_memory() -> int:
    """Return the bytes that this process may use: this machine's, or its container's if fewer."""
    there: int = psutil.virtual_memory().total
    return min(there, memory_limit(ControlGroups()) or there)


def memory_limit(groups: ControlGroups) -> int | None:
    """Return the bytes of memory that groups leave a process, None if unlimited."""
    limits = groups.limits("memory", ("memory.max",), ("memory.limit_in_bytes",))
    return min((int(limit[0]) for limit in limits if len(limit) == 1), default=None)


def require_batch_memory(
    what: str, batch: int, px: int, device: str, training: bool = False
) -> None:
    """Refuse a batch for which even the whole memory that can be used is too little.

    The system ends a program that takes more than there is without a word.

    Args:
        what: What a batch consists of.
        batch: How many; one alone is never refused.
        px: Pixels of each.
        device: Where the network runs: cuda, mps or cpu.
        training: Whether gradients are computed.

    Raises:
        UserError: There is too little memory.
    """
    here = _TRAINING_BYTES if training else _NETWORK_BYTES
    needed = batch * px * (here if device == "cpu" else _IMAGE_BYTES)
    there = usable_memory()
    if batch > 1 and needed > there:
        raise UserError(
            f"A batch of {batch:,} {what} takes about {needed / 1e9:,.0f} GB of memory, of which"
            f" there are {there / 1e9:,.0f} GB; choose a smaller batch."
        )
