"""A run over many slides at the terminal: a line for each slide, and a list of failures."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import typer

from muse_core.cli.console import cancel_on_signals, progress_bar
from muse_core.files import GOES_ON
from muse_core.jobs.detect_job import detect_config
from muse_core.jobs.detect_values import detect_values
from muse_core.nuclei.counted import counted_nuclei

if TYPE_CHECKING:
    from muse_core.jobs.detect_many import ManySlides, SlideEnd
    from muse_core.jobs.results_folder import SlideRecord


def run_many_at_terminal(run: ManySlides, as_json: bool) -> None:
    """Run over all slides; exits with 1 where some failed, with 130 where it was cancelled.

    Args:
        run: What to do.
        as_json: Whether the end is one line of JSON instead of sentences.

    Raises:
        UserError: No slide could be processed, for lack of a model or of disk space.
        typer.Exit: Some slides failed, or it was cancelled.
    """
    total = len(run.slides)

    def say(number: int, end: SlideEnd) -> None:
        sys.stderr.write(f"[{number}/{total}] {_line(end)}\n{end.detail}")
        for note in () if end.skipped else end.record.figures.get("notes", ()):
            sys.stderr.write(f"  note: {note}\n")

    with cancel_on_signals() as cancel, progress_bar() as show:
        summary = run.run(show, cancel.is_set, say)
    cancelled, failed = run.stopped, [end for end in run.ends if end.failed]
    nuclei = sum(end.record.figures.get("nuclei", 0) for end in run.ends)
    done = sum(not end.record.error for end in run.ends)
    if as_json:
        figures = {
            "slides": total,
            "done": done,
            "skipped": sum(end.skipped for end in run.ends),
            "failed": [{"slide": e.record.slide, "error": e.record.error} for e in failed],
            "nuclei": nuclei,
            "summary": str(summary),
            "cancelled": cancelled,
            "config": _values(run),
        }
        typer.echo(json.dumps(figures))
    else:
        again = f" {GOES_ON}" if cancelled else ""
        which = f"{done:,} images of {total:,}" if run.images else f"{done:,} of {total:,}"
        told = f"{counted_nuclei(nuclei)} in {which} slides; {summary}.{again}"
        typer.echo(told, err=cancelled)
    if failed:
        which = "images" if run.images else f"of {total:,} slides"
        sys.stderr.write(f"{len(failed):,} {which} failed:\n")
        for end in failed:
            sys.stderr.write(f"  {_name(end.record)}: {end.record.error}\n")
    if cancelled:
        raise typer.Exit(130)
    if failed:
        raise typer.Exit(1)


def _line(end: SlideEnd) -> str:
    record = end.record
    if record.error:
        return f"{_name(record)}: {record.error}"
    figures = record.figures
    how = "finished before" if end.skipped else f"{figures['seconds']:.0f} s"
    where = f"{counted_nuclei(figures['nuclei'])} in {figures['tissue_mm2']:.3g} mm²"
    return f"{_name(record)}: {where}, {how}"


def _name(record: SlideRecord) -> str:
    """The slide, and which of its images."""
    return record.slide + (f", image {record.image}" if record.image else "")


def _values(run: ManySlides) -> dict[str, object]:
    """Return the values of the run that its results depend on."""
    values = detect_values(run.template, detect_config(run.template))
    return {**values, "features": run.features}
