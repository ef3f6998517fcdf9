"""Running a job in this process, to exactly one end."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from typing import Any

from muse_core.errors import UserError
from muse_core.files import no_room_sentence
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.progress import Emit
from muse_core.jobs.specs import DetectJob, DisagreeJob, JobSpec

TERMINAL_EVENTS = ("done", "cancelled", "failed")
_TITLES = {"detect": "Detection", "finetune": "Training", "disagree": "Comparing nuclei"}


def run_job(
    spec: JobSpec, emit: Emit, should_cancel: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Run a job; whatever happens, the last event is one of "done", "cancelled" and "failed".

    Args:
        spec: What to do.
        emit: Called with each event, a JSON-able dictionary, in the calling thread.
        should_cancel: Asked between tiles or steps.

    Returns:
        The last event. That of a failure has "message", a sentence for the user, and "detail", a
        traceback, which is empty when the message says all there is to say (a UserError).
    """
    try:
        return finish(lambda: _run(spec, emit, should_cancel), _title(spec), emit)
    except KeyboardInterrupt:
        # A second Ctrl-C, while the end of the first was being reported.
        return {"event": "cancelled", "message": "Cancelled.", "result": {}}


def finish(work: Callable[[], Outcome], title: str, emit: Emit) -> dict[str, Any]:
    """Do the work and emit how it ended; errors end up in the event, never in the caller."""
    try:
        outcome = work()
    except KeyboardInterrupt:
        last: dict[str, Any] = {"event": "cancelled", "message": "Cancelled.", "result": {}}
    except UserError as error:
        last = {"event": "failed", "message": str(error), "detail": ""}
    except (Exception, SystemExit) as error:
        full = no_room_sentence(error)
        last = (
            {"event": "failed", "message": full, "detail": ""}
            if full
            else {
                "event": "failed",
                "message": f"{title} failed: {_reason(error)}. The log has the details.",
                "detail": traceback.format_exc(),
            }
        )
    else:
        kind = "cancelled" if outcome.cancelled else "done"
        last = {"event": kind, "message": outcome.message, "result": outcome.result}
    # Whoever listened may be the one that failed; the caller still gets the event.
    with contextlib.suppress(Exception):
        emit(last)
    return last


def _run(spec: JobSpec, emit: Emit, should_cancel: Callable[[], bool]) -> Outcome:
    if isinstance(spec, DetectJob):
        from muse_core.jobs.detect_job import run_detect

        return run_detect(spec, emit, should_cancel)
    if isinstance(spec, DisagreeJob):
        from muse_core.jobs.disagree_job import run_disagree

        return run_disagree(spec, emit, should_cancel)
    from muse_core.jobs.finetune_job import run_finetune

    return run_finetune(spec, emit, should_cancel)


def _title(spec: JobSpec) -> str:
    return _TITLES[spec.kind]


def _reason(error: BaseException) -> str:
    """The first line of an error, short enough for a panel."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text.rstrip(".") if len(text) <= 160 else f"{text[:157]}..."
