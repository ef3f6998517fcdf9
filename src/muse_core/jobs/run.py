"""Run a job in this process; it ends in exactly one of Done, Cancelled and Failed."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from importlib import import_module

from muse_core.errors import UserError
from muse_core.files import system_sentence
from muse_core.jobs.events import Cancelled, Done, Emit, Ended, Failed
from muse_core.jobs.outcome import Outcome
from muse_core.jobs.specs import JobSpec


def run_job(spec: JobSpec, emit: Emit, should_cancel: Callable[[], bool] = lambda: False) -> Ended:
    """Run a job; whatever happens, the last event is one of Done, Cancelled and Failed.

    Args:
        spec: What to do.
        emit: Called with each event, in the calling thread.
        should_cancel: Asked between tiles or steps.

    Returns:
        The last event.
    """
    try:
        return finish(lambda: _run(spec, emit, should_cancel), spec.title, emit)
    except KeyboardInterrupt:
        # A second Ctrl-C, while the end of the first was being reported.
        return Cancelled("Cancelled.")


def finish(work: Callable[[], Outcome], title: str, emit: Emit) -> Ended:
    """Do the work and emit its last event; errors are reported in the event and not raised."""
    last: Ended
    try:
        outcome = work()
    except KeyboardInterrupt:
        last = Cancelled("Cancelled.")
    except UserError as error:
        last = Failed(str(error))
    except (Exception, SystemExit) as error:
        sentence = system_sentence(error)
        said = f"{title} failed: {_reason(error)}. The log has the details."
        last = Failed(sentence) if sentence else Failed(said, traceback.format_exc())
    else:
        end = Cancelled if outcome.cancelled else Done
        last = end(outcome.message, outcome.result)
    # The listener itself may have raised the error; the caller still gets the event.
    with contextlib.suppress(Exception):
        emit(last)
    return last


def _run(spec: JobSpec, emit: Emit, should_cancel: Callable[[], bool]) -> Outcome:
    module, name = spec.runner.split(":")
    run: Callable[[JobSpec, Emit, Callable[[], bool]], Outcome]
    run = getattr(import_module(module), name)
    return run(spec, emit, should_cancel)


def _reason(error: BaseException) -> str:
    """The first line of an error, short enough for a panel."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text.rstrip(".") if len(text) <= 160 else f"{text[:157]}..."
