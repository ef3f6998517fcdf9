"""Running a job at the terminal: progress bar, Ctrl-C, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import typer

from muse_core.errors import UserError
from muse_core.files import names_stdout
from muse_core.jobs.signals import on_stop_signals

if TYPE_CHECKING:
    from muse_core.jobs import JobSpec


def run_at_terminal(spec: JobSpec, as_json: bool) -> None:
    """Run a job, show its progress on stderr and its end on stdout; exits unless it is done.

    Args:
        spec: What to do.
        as_json: Whether the end is one line of JSON instead of a sentence.

    Raises:
        UserError: The job was refused.
        typer.Exit: It was cancelled (130) or failed (1).
    """
    from muse_core.jobs import run_job

    with cancel_on_signals() as cancel, progress_bar() as show:
        last = run_job(spec, show, cancel.is_set)
    if last["event"] == "failed":
        if not last["detail"]:
            raise UserError(last["message"])
        sys.stderr.write(f"{last['detail']}error: {last['message']}\n")
        raise typer.Exit(1)
    cancelled = last["event"] == "cancelled"
    for note in last["result"].get("notes", ()):
        sys.stderr.write(f"note: {note}\n")
    # The nuclei themselves may have gone to standard output.
    aside = names_stdout(last["result"].get("out_csv") or "")
    if as_json:
        typer.echo(json.dumps({**last["result"], "cancelled": cancelled}), err=aside)
    else:
        typer.echo(last["message"], err=cancelled or aside)
    if cancelled:
        raise typer.Exit(130)


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
def progress_bar() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Shows progress events as a bar and metrics as lines on stderr; no bar where it is no tty."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
        TextColumn("{task.description}", markup=False),
    )
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task("", total=None, eta="")

        def show(event: dict[str, Any]) -> None:
            if event["event"] == "progress":
                bar.update(
                    task,
                    completed=event["done"],
                    total=event["total"] or None,
                    description=event["message"],
                    eta="" if event["eta_s"] is None else f"{_duration(event['eta_s'])} left",
                )
            elif event["event"] == "metrics":
                figures = {k: v for k, v in event.items() if k != "event"}
                bar.console.print(
                    "  ".join(f"{k} {_figure(v)}" for k, v in figures.items()), highlight=False
                )

        yield show


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
