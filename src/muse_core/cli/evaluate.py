"""``muse evaluate detect``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.images import say_folder_notes
from muse_core.cli.numbers import integer, number
from muse_core.cli.options import Device, DeviceOption, ForceMppOption, JsonOption, ModelOption
from muse_core.errors import UserError

if TYPE_CHECKING:
    from muse_core.evaluate.figures import FiguresWithIntervals


def evaluate_detect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with images/ and points/.")],
    mpp: Annotated[
        float, typer.Option("--mpp", parser=number, help="Microns per pixel of the images.")
    ],
    force_mpp: ForceMppOption = False,
    model: ModelOption = None,
    device: DeviceOption = Device.AUTO,
    seed: Annotated[int, typer.Option("--seed", parser=integer, help="Of the bootstrap.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """F1 of detection and classification within 3 um, pooled over the images of a folder.

    Intervals are 95%, by bootstrap over images; with fewer than five images, over nuclei, which
    makes them too narrow. If the folder's classes are not the model's, only detection is measured.
    A class that is neither annotated nor found does not count.
    """
    from muse_core.models.card import read_card
    from muse_core.models.registry import resolve_model

    if seed < 0:
        raise UserError("The seed is at least 0.")
    # Checked before torch is loaded, which takes seconds.
    path = resolve_model(model)
    read_card(path).require_detector()

    from muse_core.cli.console import progress_bar
    from muse_core.evaluate.detection import evaluate_folder
    from muse_core.evaluate.intervals import figures_with_intervals
    from muse_core.jobs.progress import ProgressReporter

    say_folder_notes((folder,), mpp, force_mpp)
    with progress_bar() as show:
        progress = ProgressReporter(show)
        report = evaluate_folder(folder, mpp, path, device.value, progress, force_mpp)
    figures = figures_with_intervals(report, seed=seed)
    lines = _lines(figures, report.other_classes)
    typer.echo(json.dumps(figures) if as_json else "\n".join(lines))


def _lines(figures: FiguresWithIntervals, other_classes: Sequence[str]) -> Iterator[str]:
    intervals = figures["interval_95"]
    few = figures["interval_over"] == "nuclei"
    yield f"images  {figures['n_images']}" + (
        ", so few that intervals are too narrow" if few else ""
    )
    yield f"F det   {_with_interval(figures['f_det'], intervals['f_det'])}"
    if _is_measured(figures["f_det"], intervals["f_det"]):
        yield f"  precision {figures['precision_det']:.4f}  recall {figures['recall_det']:.4f}"
    per_class, confusion = figures["per_class"], figures["confusion"]
    if per_class is None or confusion is None:
        yield f"F avg   not measured: the model has no class {', '.join(other_classes)}"
        return
    yield f"F avg   {_with_interval(figures['f_avg'], intervals['f_avg'])}"
    width = max(map(len, per_class))
    for name, facts in per_class.items():
        interval = (intervals["f_class"] or {}).get(name)
        shares = f"  precision {facts['precision']:.4f}  recall {facts['recall']:.4f}"
        f1 = _with_interval(facts["f1"], interval)
        yield f"  {name:<{width}}  {f1}{shares if _is_measured(facts['f1'], interval) else ''}"
    yield "matched nuclei, true class by found class"
    names, rows = confusion["classes"], confusion["counts"]
    yield " ".join([" " * (width + 2), *(f"{name:>{width}}" for name in names)])
    for name, row in zip(names, rows, strict=True):
        yield " ".join([f"  {name:<{width}}", *(f"{n:>{width}}" for n in row)])


def _is_measured(value: float | None, interval: list[float] | None) -> bool:
    return value is not None and interval is not None


def _with_interval(value: float | None, interval: list[float] | None) -> str:
    if value is None or interval is None:
        return "none: neither annotated nor found"
    return f"{value:.4f}  [{interval[0]:.4f}, {interval[1]:.4f}]"
