"""``python -m muse_core.jobs [MODEL DEVICE]``: one job in a process of its own.

With a model and a device, the process loads what a detection needs while it waits for the job.
"""

from __future__ import annotations

import sys

from muse_core.isolation.closed_streams import open_closed_streams
from muse_core.jobs.worker import run_worker

if __name__ == "__main__":
    open_closed_streams()
    sys.exit(run_worker(sys.argv[1:]))
