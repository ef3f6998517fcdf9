"""Peak memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in megabytes (10^6 bytes)."""
    if sys.platform == "win32":
        peak = psutil.Process().memory_info().peak_wset
    elif _STATUS.is_file():
        # Linux counts in getrusage what the parent had when it started this process.
        lines = (line.split() for line in _STATUS.read_text().splitlines())
        peak = next(int(fields[1]) for fields in lines if fields[0] == "VmHWM:") * 1024
    else:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return round(float(peak) / 1e6, 1)
