"""Whether a batch fits into the memory of this machine."""

from __future__ import annotations

import psutil

from muse_core.errors import UserError

_IMAGE_BYTES = 15
"""Of a pixel: RGB as bytes and as float32, which lie here whatever the network runs on."""
_NETWORK_BYTES, _TRAINING_BYTES = 180, 400
"""The same with what torch holds of the smallest network, on a processor; measured."""


def require_batch_memory(
    what: str, batch: int, px: int, device: str, training: bool = False
) -> None:
    """Refuse a batch for which even this machine's whole memory is too little.

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
    there = psutil.virtual_memory().total
    if batch > 1 and needed > there:
        raise UserError(
            f"A batch of {batch:,} {what} takes about {needed / 1e9:,.0f} GB of memory, and this"
            f" machine has {there / 1e9:,.0f} GB; choose a smaller batch."
        )
