"""``muse detect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli.options import Device, DeviceOption, JsonOption, ModelOption


def detect(
    slide: Annotated[
        Path, typer.Argument(metavar="SLIDE", help="SVS, TIFF, NDPI, OME-Zarr, PNG ...")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="File to write the nuclei to: .csv, .geojson, .parquet, .h5ad or .zarr."
        ),
    ],
    model: ModelOption = None,
    mpp: Annotated[
        float | None,
        typer.Option("--mpp", help="Microns per pixel of the slide, if the file does not say."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option("--region", metavar="X,Y,W,H", help="Only in here; pixels of the slide."),
    ] = None,
    device: DeviceOption = Device.AUTO,
    min_score: Annotated[
        float | None,
        typer.Option("--min-score", help="Nucleus probability to report from; else the model's."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Detect and classify every nucleus of a slide.

    Ctrl-C stops, keeps what was found until then, and exits with code 130.
    """
    from muse_core.cli.console import run_at_terminal
    from muse_core.jobs import DetectJob
    from muse_core.slides import Region

    box = Region.parse(region) if region is not None else None
    job = DetectJob(
        slide=str(slide),
        model=model,
        out_csv=str(out),
        mpp=mpp,
        region=None if box is None else [box.x, box.y, box.w, box.h],
        device=device.value,
        min_score=min_score,
    )
    run_at_terminal(job, as_json)
