"""Sharing the processor and memory with other programs. Call before torch is imported."""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of <malloc.h>."""
_LARGE_BYTES = 1 << 19
_KEPT_FREE_BYTES = 8 << 20
"""Of smaller blocks, of each heap."""


def wait_politely() -> None:
    """Let threads of the numerical libraries sleep while they wait for each other.

    By default they spin. That costs nothing on an idle machine, but where another program (or the
    threads that read tiles) wants the same cores, each of the hundred short waits of a pass turns
    into a lost time slice: passes were seen to take seven times as long. A user's setting stands.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def leave_a_core_for_the_viewer() -> None:
    """Limit the threads of the numerical libraries to the cores, less one where there are four."""
    import psutil

    process = psutil.Process()
    usable = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else os.cpu_count()
    cores = min(psutil.cpu_count(logical=False) or 1, usable or 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores - 1 if cores >= 4 else cores))


def give_large_blocks_back() -> None:
    """Have glibc return blocks of half a megabyte and more to the system as soon as they are free.

    By default the limit rises to 32 MB with the blocks that are freed. Pixels of tiles then lie
    among the long-lived ones of the cache, and 70 to 170 MB stay with the process though nothing
    uses them, more with each tile. A user's setting stands; other systems are left as they are.

    What is free at the end of a heap would then go back from 128 kB on, to be asked for again a
    moment later: a tenth of the processor's time went into that. It may keep some megabytes.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_FREE_BYTES)
