"""Limits of time and memory for processes that read files from elsewhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Self

import psutil

_CPU_S, _CPU_S_PER_MB = 10.0, 2.0
_WALL_PER_CPU = 6.0
_BYTES, _BYTES_PER_BYTE = 2 << 30, 20
_MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Limits of a process.

    Attributes:
        cpu_s: Seconds of processor time. It is this that ends a reader that runs in circles, since
            it does not hang on how busy the machine is.
        wall_s: Seconds until the process must have ended, however slow disk and network are.
        memory_bytes: Memory beyond what the process has when it begins.
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
        memory = min(_BYTES + _BYTES_PER_BYTE * size_bytes, psutil.virtual_memory().total)
        return cls(cpu_s, _WALL_PER_CPU * cpu_s, memory)

    def restrict_this_process(self) -> None:
        """Let the system hold this process to the limits, where it can.

        Windows cannot, and macOS does not count memory; there the parent's watch is all there is.
        """
        if sys.platform == "win32":
            return
        import resource

        process = psutil.Process()
        used = process.cpu_times()
        # One second more than the parent waits, which has the better words for it.
        _lower(resource.RLIMIT_CPU, int(used.user + used.system + self.cpu_s) + 2)
        if sys.platform == "linux":
            _lower(resource.RLIMIT_AS, process.memory_info().vms + self.memory_bytes)


def _lower(which: int, value: int) -> None:
    """Set a limit unless a lower one is in force."""
    import resource

    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, hard))
