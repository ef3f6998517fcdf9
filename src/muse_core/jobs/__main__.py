"""``python -m muse_core.jobs``: one job in a process of its own."""

from __future__ import annotations

import sys

from muse_core.jobs.worker import run_worker

if __name__ == "__main__":
    sys.exit(run_worker())
