"""``muse features``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.options import Device, DeviceOption, JsonOption, ModelOption
from muse_core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def features(
    slide: Annotated[
        Path, typer.Argument(metavar="SLIDE", help="SVS, TIFF, NDPI, OME-Zarr, PNG ...")
    ],
    points: Annotated[
        Path, typer.Option("--points", help="Nuclei: CSV, GeoJSON, Parquet, AnnData.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Zarr folder to write.")],
    model: ModelOption = None,
    mpp: Annotated[
        float | None,
        typer.Option("--mpp", help="Microns per pixel of the slide, if the file does not say."),
    ] = None,
    fov_px: Annotated[
        int | None, typer.Option("--fov-px", help="Side of the tiles; else the model's.")
    ] = None,
    device: DeviceOption = Device.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Compute the features of a slide's nuclei, one row each in the order of the file.

    Each nucleus is seen in the tile where it lies most central. Ctrl-C stops, keeps what was
    computed until then, and exits with code 130.
    """
    from muse_core.cli.console import cancel_on_signals, progress_bar
    from muse_core.jobs.progress import ProgressReporter
    from muse_core.models.card import read_card
    from muse_core.models.registry import resolve_model
    from muse_core.nuclei import placed_on_slide, read_nuclei
    from muse_core.slides import open_slide

    _check_target(out, slide)
    given = read_nuclei(points)
    table = given.table
    path = resolve_model(model)
    card = read_card(path)
    with open_slide(slide, mpp=mpp) as opened:
        slide_mpp = opened.require_mpp()
        area = opened.scanned
        placed = placed_on_slide(given, (area.x, area.y), (area.w, area.h))
        for note in placed.notes:
            typer.echo(note, err=True)

        from muse_core.classify.feature_file import write_features
        from muse_core.classify.features import FeatureSpec, iter_features
        from muse_core.detect import choose_device
        from muse_core.models.checkpoint import load_backbone

        backbone, _ = load_backbone(path)
        spec = FeatureSpec(card.mpp, fov_px or card.fov_px)
        with cancel_on_signals() as cancel, progress_bar() as show:
            report = ProgressReporter(show)

            def chunks() -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]]:
                xy = placed.table[["x", "y"]].to_numpy()
                where = choose_device(device.value)
                for chunk in iter_features(opened, xy, backbone, spec, where, cancel.is_set):
                    report(chunk.tiles_done, chunk.tiles_total, "Computing features")
                    yield chunk.rows, chunk.features

            facts = {
                "model": card.name,
                "mpp": card.mpp,
                "fov_px": spec.fov_px,
                "slide": opened.name,
                "slide_mpp": slide_mpp,
            }
            done = write_features(out, table, backbone.out_channels, chunks(), facts)
    result = {"nuclei": len(table), "done": done, "channels": backbone.out_channels}
    cancelled = done < len(table)
    if as_json:
        typer.echo(json.dumps({**facts, **result, "out": str(out), "cancelled": cancelled}))
    else:
        kept = "Cancelled; " if cancelled else ""
        typer.echo(
            f"{kept}{done:,} of {len(table):,} nuclei with {backbone.out_channels} features each,"
            f" written to {out}.",
            err=cancelled,
        )
    if cancelled:
        raise typer.Exit(130)


def _check_target(out: Path, slide: Path) -> None:
    """Refuse a target that would cost the user something other than older features.

    Raises:
        UserError: There is no folder for it, it is the slide, or something else has its name.
    """
    from muse_core.classify.feature_file import is_feature_file
    from muse_core.files import entries

    parent = out.absolute().parent
    if not parent.is_dir():
        raise UserError(f"Cannot write {out}: there is no folder {parent}.")
    if out.exists() and slide.exists() and out.samefile(slide):
        raise UserError(f"Cannot write {out}: it is the slide.")
    if out.is_file() or (out.is_dir() and entries(out) and not is_feature_file(out)):
        raise UserError(f"Cannot write {out}: there is something else of this name.")
