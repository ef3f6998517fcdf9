"""Long tasks: a spec in, events out, cancellable, ending in exactly one of done, cancelled, failed.

The same job runs in this process with :func:`run_job` and in another one with
``python -m muse_core.jobs``, which reads the spec as the first line of stdin and then commands,
``{"command": "cancel"}`` or the end of stdin, and writes each event as a JSON line on stdout.

Importing this package loads neither torch nor pandas.
"""

from __future__ import annotations

from muse_core.jobs.events import (
    Cancelled,
    DetectionStarted,
    DisagreementFound,
    Done,
    Emit,
    Ended,
    Event,
    Failed,
    LossMeasured,
    MetricsMeasured,
    NucleiFound,
    Progress,
    event_from_json,
)
from muse_core.jobs.run import run_job
from muse_core.jobs.specs import (
    DetectJob,
    FinetuneJob,
    JobSpec,
    job_from_json,
)

__all__ = [
    "Cancelled",
    "DetectJob",
    "DetectionStarted",
    "DisagreementFound",
    "Done",
    "Emit",
    "Ended",
    "Event",
    "Failed",
    "FinetuneJob",
    "JobSpec",
    "LossMeasured",
    "MetricsMeasured",
    "NucleiFound",
    "Progress",
    "event_from_json",
    "job_from_json",
    "run_job",
]
