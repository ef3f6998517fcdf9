"""Peak memory of this process."""

from __future__ import annotations

import sys

import psutil


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in megabytes (10^6 bytes)."""
    if sys.platform == "win32":
        peak = psutil.Process().memory_info().peak_wset
    else:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return round(float(peak) / 1e6, 1)
