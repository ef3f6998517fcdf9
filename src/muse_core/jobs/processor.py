"""Sharing the processor and memory with other programs. Call before torch is imported."""

from __future__ import annotations

import ctypes
import os
import sys

from muse_core.processor import limited_cores, usable_cores

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of <malloc.h>."""
_LARGE_BYTES = 1 << 19
_KEPT_FREE_BYTES = 8 << 20
"""Free memory that each heap may keep at its end."""


def wait_politely() -> None:
    """Let threads of the numerical libraries sleep while they wait for each other.

    By default they busy-wait. That costs nothing on an idle machine. But if another program, or the
    threads that read tiles, need the same cores, each of the hundred short waits of a pass becomes
    a lost time slice: passes took up to seven times as long. A setting of the user is kept.
    """
    # Not in capitals: for a Turk "I" is the capital of another letter, and libgomp, which compares
    # without regard to case as the user's language does, would refuse the value.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def limit_threads() -> None:
    """Where this process' time is limited, limit the threads of the numerical libraries to it.

    They know of cores only. A setting of the user is kept.
    """
    if limited_cores() is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))


def leave_a_core_for_the_viewer() -> None:
    """Limit the threads of the numerical libraries to the cores, less one where there are four."""
    import psutil

    cores = min(psutil.cpu_count(logical=False) or 1, usable_cores())
    os.environ.setdefault("OMP_NUM_THREADS", str(cores - 1 if cores >= 4 else cores))


def give_large_blocks_back() -> None:
    """Have glibc return blocks of half a megabyte and more to the system as soon as they are free.

    By default glibc raises that limit to up to 32 MB as blocks are freed. Tiles are then allocated
    among the long-lived pixels of the cache, and the process keeps 70 to 170 MB that nothing uses,
    more with each tile. A setting of the user is kept; other systems are not changed.

    A fixed limit would also return free memory at the end of a heap from 128 kB on, only to
    allocate it again: a tenth of the CPU time. So some megabytes may be kept there.
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
