"""Features of this machine's processor that the libraries do not report."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_NATIVE_BFLOAT16 = frozenset(("avx512_bf16", "amx_bf16", "avx_ne_convert"))
_GROUPS, _GROUP_FOLDER = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
"""Which groups limit this process, and where Linux says by how much."""


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
    limit = core_limit(_GROUPS, _GROUP_FOLDER)
    return None if limit is None else math.ceil(limit)


def core_limit(groups: Path, folder: Path) -> float | None:
    """Return the processor time per second that control groups leave a process, None if unlimited.

    Args:
        groups: /proc/self/cgroup, which names the process's groups.
        folder: /sys/fs/cgroup, of version 1 or 2.
    """
    try:
        lines = groups.read_text("utf-8").splitlines()
    except OSError:
        return None
    limits = [limit for line in lines for limit in _limits(line, folder)]
    return min(limits, default=None)


def _limits(line: str, folder: Path) -> Iterator[float]:
    """Limits of a group and those it lies in; in a container its own may be at the top."""
    _, controllers, group = line.split(":", 2)
    if controllers and "cpu" not in controllers.split(","):
        return
    top = folder / "cpu" if controllers else folder
    here = top / group.lstrip("/")
    for place in (here, *here.parents):
        if place.is_relative_to(top):
            yield from _limit_at(place)


def _limit_at(place: Path) -> Iterator[float]:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            words = " ".join((place / name).read_text("utf-8") for name in names).split()
            quota, period = map(float, words)
        except (OSError, ValueError):  # none of this version, or "max"
            continue
        if quota > 0 and period > 0:
            yield quota / period


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
