"""Run a job at the terminal: progress bar, Ctrl-C, last message."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

from muse_core.errors import UserError
from muse_core.files import names_stdout
from muse_core.jobs.signals import on_stop_signals

if TYPE_CHECKING:
    from muse_core.jobs import Emit, Ended, Event, JobSpec


def run_at_terminal(specs: JobSpec | Sequence[JobSpec], as_json: bool) -> None:
    """Run a job, show its progress on stderr and its end on stdout; exits unless it is done.

    Args:
        specs: What to do; several jobs are of the images of one slide and run one after the other.
        as_json: Whether the end is one line of JSON instead of a sentence.

    Raises:
        UserError: A job was refused.
        typer.Exit: One was cancelled (130) or failed (1).
    """
    from muse_core.jobs import run_job

    jobs = list(specs) if isinstance(specs, Sequence) else [specs]
    results: list[dict[str, Any]] = []
    cancelled = False
    with cancel_on_signals() as cancel:
        for spec in jobs:
            if cancelled:
                break
            with progress_bar() as show:
                last = run_job(spec, show, cancel.is_set)
            cancelled = _take_end(last, as_json)
            results.append({**last.result, "cancelled": cancelled})
    if as_json:
        # Standard output may hold the nuclei themselves.
        aside = names_stdout(getattr(jobs[0], "out_csv", None) or "")
        whole = results[0] if len(jobs) == 1 else _together(results, cancelled)
        typer.echo(json.dumps(whole), err=aside)
    if cancelled:
        raise typer.Exit(130)


def _take_end(last: Ended, as_json: bool) -> bool:
    """Say how a job ended; returns whether it was cancelled."""
    from muse_core.jobs import Cancelled, Failed

    if isinstance(last, Failed):
        if not last.detail:
            raise UserError(last.message)
        sys.stderr.write(f"{last.detail}error: {last.message}\n")
        raise typer.Exit(1)
    cancelled = isinstance(last, Cancelled)
    for note in last.result.get("notes", ()):
        sys.stderr.write(f"note: {note}\n")
    if not as_json:
        aside = names_stdout(last.result.get("out_csv") or "")
        typer.echo(last.message, err=cancelled or aside)
    return cancelled


def _together(results: list[dict[str, Any]], cancelled: bool) -> dict[str, Any]:
    """Return the results of the jobs of several images, together and each on its own."""
    total: dict[str, Any] = {
        key: sum(result[key] for result in results)
        for key in ("nuclei", "tissue_mm2", "seconds")
        if all(key in result for result in results)
    }
    return {**total, "images": results, "cancelled": cancelled}


@contextmanager
def cancel_on_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, or another request to stop; a second Ctrl-C interrupts at once.

    Requests of other kinds may come several times, as when a terminal is closed.
    """
    cancel = threading.Event()

    def ask(number: int) -> None:
        if number == signal.SIGINT and cancel.is_set():
            raise KeyboardInterrupt
        if not cancel.is_set():
            # Whatever was being written when the signal came.
            with suppress(OSError, RuntimeError):
                sys.stderr.write("\nCancelling; press Ctrl-C again to stop at once.\n")
        cancel.set()

    with on_stop_signals(ask):
        yield cancel


@contextmanager
def progress_bar() -> Iterator[Emit]:
    """Shows progress events as a bar and metrics as lines on stderr; no bar where it is no tty."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from muse_core.jobs import MetricsMeasured, Progress

    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
        TextColumn("{task.description}", markup=False),
    )
    bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task("", total=None, eta="")

        def show(event: Event) -> None:
            if isinstance(event, Progress):
                bar.update(
                    task,
                    completed=event.done,
                    total=event.total or None,
                    description=event.message,
                    eta="" if event.eta_s is None else f"{_duration(event.eta_s)} left",
                )
            elif isinstance(event, MetricsMeasured):
                figures = "  ".join(
                    f"{k} {_figure(v)}" for k, v in event.figures.items() if v is not None
                )
                bar.console.print(figures, highlight=False)

        yield show


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _figure(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{k} {_figure(v)}" for k, v in value.items()) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
