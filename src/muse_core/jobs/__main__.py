"""``python -m muse_core.jobs [MODEL DEVICE]``: one job in a process of its own.

With a model and a device, what a detection with them needs is loaded while the job is waited for.
"""

from __future__ import annotations

import sys

from muse_core.jobs.worker import run_worker

if __name__ == "__main__":
    sys.exit(run_worker(sys.argv[1:]))
