"""``muse pretrain``."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli.options import JsonOption, SetOption
from muse_core.errors import UserError


def pretrain_command(
    config: Annotated[
        Path, typer.Option("--config", help="TOML file; or config.json of an earlier run.")
    ],
    settings: SetOption = None,
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Go on from the checkpoint in the folder.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Pretrain a backbone without labels, on the ROIs that muse rois cut.

    Ctrl-C stops at a checkpoint and exits with code 130; the same command resumes. For several
    devices: torchrun --nproc-per-node N -m muse_core.cli pretrain --config FILE.
    """
    if find_spec("lightning_fabric") is None or find_spec("tensorboard") is None:
        raise UserError("Pretraining needs more packages: pip install napari-muse[pretrain].")
    from muse_core.cli.console import cancel_on_signals, progress_bar
    from muse_core.jobs.progress import ProgressReporter
    from muse_core.pretrain.config_file import read_pretrain_config
    from muse_core.pretrain.launch import launch

    started = launch()
    run = read_pretrain_config(config, settings or ())

    from muse_core.pretrain.train import pretrain

    with cancel_on_signals() as cancel, progress_bar() as show:
        result = pretrain(run, ProgressReporter(show), cancel.is_set, resume)
    if started.rank == 0:
        figures = {
            "out": str(result.path),
            "steps": result.steps_done,
            "loss": _number(result.loss),
            "samples_per_s": _number(result.samples_per_s),
            "cancelled": result.cancelled,
        }
        done = f"{result.steps_done:,} steps; {result.path}"
        typer.echo(json.dumps(figures) if as_json else done)
    if result.cancelled:
        raise typer.Exit(130)


def _number(value: float) -> float | None:
    """The value as JSON has it: None where no step was made."""
    return None if math.isnan(value) else value
