"""``muse detect``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli.options import (
    Backend,
    BackendOption,
    ChannelsOption,
    Device,
    DeviceOption,
    ForceMppOption,
    ImageOption,
    JsonOption,
    ModelOption,
    MppOption,
    PlaneOption,
)


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
    mpp: MppOption = None,
    force_mpp: ForceMppOption = False,
    region: Annotated[
        str | None,
        typer.Option("--region", metavar="X,Y,W,H", help="Only in here; pixels of the slide."),
    ] = None,
    image: ImageOption = None,
    plane: PlaneOption = None,
    channels: ChannelsOption = None,
    device: DeviceOption = Device.AUTO,
    backend: BackendOption = Backend.AUTO,
    min_score: Annotated[
        float | None,
        typer.Option("--min-score", help="Nucleus probability to report from; else the model's."),
    ] = None,
    features: Annotated[
        bool,
        typer.Option(
            "--features", help="Keep the nuclei's features too, beside OUT, in OUT.features."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Detect and classify every nucleus of a slide.

    Of a file with several images the largest is taken, and it is said so. With --image all each has
    a file of its own: nuclei-image1.csv, nuclei-image2.csv. Ctrl-C stops, keeps what was found
    until then, and exits with code 130.
    """
    from muse_core.cli.console import run_at_terminal
    from muse_core.cli.images import chosen_images, file_of_image
    from muse_core.jobs import DetectJob
    from muse_core.jobs.detect_job import detect_target
    from muse_core.slides import Region

    box = Region.parse(region) if region is not None else None
    choices = chosen_images(slide, image, plane, channels)
    jobs = [
        DetectJob(
            slide=str(slide),
            model=model,
            out_csv=str(file_of_image(out, choice, choices)),
            mpp=mpp,
            force_mpp=force_mpp,
            region=None if box is None else [box.x, box.y, box.w, box.h],
            device=device.value,
            backend=backend.value,
            min_score=min_score,
            image=choice.image,
            plane=choice.plane,
            channels=choice.channels,
            features_in=f"{file_of_image(out, choice, choices)}.features" if features else None,
        )
        for choice in choices
    ]
    for job in jobs if len(jobs) > 1 else ():
        detect_target(job)  # before the work of the first, that of the last
    run_at_terminal(jobs, as_json)
