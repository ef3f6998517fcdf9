"""Read untrusted files in a separate process with limits of time and memory.

A crash or hang there becomes an error for the user here. The parent calls :func:`run_isolated`, the
child process :func:`serve`.
"""

from __future__ import annotations

from muse_core.isolation.limits import Limits
from muse_core.isolation.parent import CancelledError, run_isolated

__all__ = ["CancelledError", "Limits", "run_isolated"]
