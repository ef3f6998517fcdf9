"""Work on files from elsewhere in a process of its own, under limits.

What crashes or hangs there ends in a sentence here. The parent calls
:func:`run_isolated`, the process :func:`serve`.
"""

from __future__ import annotations

from muse_core.isolation.limits import Limits
from muse_core.isolation.parent import CancelledError, run_isolated

__all__ = ["CancelledError", "Limits", "run_isolated"]
