"""Limits of time and memory for processes that read files from elsewhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Self

import psutil

from muse_core.memory import usable_memory

_CPU_S, _CPU_S_PER_MB = 10.0, 2.0
_WALL_PER_CPU = 6.0
_BYTES, _BYTES_PER_BYTE = 2 << 30, 20
_MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of a process.

    Attributes:
        cpu_s: Seconds of processor time, beyond those of the start. This limit ends a reader in an
            endless loop, since it does not depend on how busy the machine is.
        wall_s: Seconds until the process must have ended, however slow disk and network are.
        memory_bytes: Memory beyond that of the process when it starts.
    """

    cpu_s: float
    wall_s: float
    memory_bytes: int

    @classmethod
    def for_size(cls, size_bytes: int, start_s: float = 0.0) -> Self:
        """Limits for a file, ten times and more of what the slowest format needs.

        Args:
            size_bytes: Size of the file.
            start_s: Seconds of processor time that loading a library takes, on a slow machine.
        """
        cpu_s = start_s + _CPU_S + _CPU_S_PER_MB * size_bytes / _MB
        memory = min(_BYTES + _BYTES_PER_BYTE * size_bytes, usable_memory())
        return cls(cpu_s, _WALL_PER_CPU * cpu_s, memory)

    def restrict_this_process(self) -> None:
        """Set the limits for this process with the operating system, if it supports them.

        Windows does not, and macOS does not limit memory; there only the parent enforces them.
        """
        if sys.platform == "win32":
            return
        import resource

        process = psutil.Process()
        used = process.cpu_times()
        # One second more than the parent's limit, whose error message is the better one.
        _lower(resource.RLIMIT_CPU, int(used.user + used.system + self.cpu_s) + 2)
        if sys.platform == "linux":
            _lower(resource.RLIMIT_AS, process.memory_info().vms + self.memory_bytes)


def _lower(which: int, value: int) -> None:
    """Set a limit unless a lower one is in force."""
    import resource

    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, hard))
