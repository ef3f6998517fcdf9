"""Recognise out-of-memory errors, and free cached memory."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device's or the machine's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # MPS and the CPU allocator raise a plain RuntimeError.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


def free_cached_memory(device: torch.device) -> None:
    """Give memory the allocator keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
