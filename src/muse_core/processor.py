"""Features of this machine's processor that the libraries do not report."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path

from muse_core.control_groups import ControlGroups

_NATIVE_BFLOAT16 = frozenset(("avx512_bf16", "amx_bf16", "avx_ne_convert"))


def usable_cores() -> int:
    """Return how many cores this process may use: those it may run on, if its time is not less."""
    cores = _cores_to_run_on()
    return min(cores, limited_cores() or cores)


def _cores_to_run_on() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    # Imported only where it is needed: detection starts without it.
    import psutil

    process = psutil.Process()
    allowed = process.cpu_affinity() if hasattr(process, "cpu_affinity") else None
    return len(allowed) if allowed else os.cpu_count() or 1


def limited_cores() -> int | None:
    """Return the cores that this process' time is worth, None if it is not limited.

    A container or a job of a cluster may run on all cores of a machine but only for a part of the
    time. With a thread for each core it is stopped again and again.
    """
    limit = core_limit(ControlGroups())
    return None if limit is None else math.ceil(limit)


def core_limit(groups: ControlGroups) -> float | None:
    """Return the processor time per second that groups leave a process, None if unlimited."""
    pairs = groups.limits("cpu", ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
    limits = [pair[0] / pair[1] for pair in pairs if len(pair) == 2 and min(pair) > 0]
    return min(limits, default=None)


@lru_cache(maxsize=1)
def emulates_bfloat16() -> bool:
    """Return whether bfloat16 is emulated on this processor, several times slower than float32.

    oneDNN, which both torch and OpenVINO compute with, reports bfloat16 as supported on every
    processor with AVX-512, also on those that lack its instructions (Intel's before Cooper Lake,
    Ice Lake among them). False where the features of the processor cannot be read, which is
    anywhere but on Linux.
    """
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return lacks_bfloat16_instructions(cpuinfo)


def lacks_bfloat16_instructions(cpuinfo: str) -> bool:
    """Return whether the text of /proc/cpuinfo is of a processor with AVX-512 but no bfloat16."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            flags = set(value.split())
            return "avx512f" in flags and not flags & _NATIVE_BFLOAT16
    return False
