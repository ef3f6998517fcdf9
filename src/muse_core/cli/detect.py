"""``muse detect``."""

from __future__ import annotations

from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

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
from muse_core.errors import UserError

if TYPE_CHECKING:
    from muse_core.jobs import DetectJob
    from muse_core.models.device_names import DeviceName


_SLIDES_AT_ONCE = 4
"""On a cluster: while one slide begins or ends, the workers have others."""


class ResultFormat(StrEnum):
    """File format for the results of many slides."""

    CSV = "csv"
    PARQUET = "parquet"
    GEOJSON = "geojson"
    H5AD = "h5ad"


def detect(
    slides: Annotated[
        list[str],
        typer.Argument(
            metavar="SLIDES...",
            help="SVS, TIFF, NDPI, OME-Zarr, PNG ... Also folders, patterns, and CSV files with a"
            " column slide and perhaps mpp.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="File to write the nuclei to: .csv, .geojson, .parquet, .h5ad or .zarr; of many"
            " slides the folder for their files.",
        ),
    ],
    form: Annotated[
        ResultFormat | None,
        typer.Option("--format", help="Of the files of many slides; csv if left out."),
    ] = None,
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
    config: Annotated[
        Path | None,
        typer.Option("--config", help="TOML file with further settings: tile_px, batch ..."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Go on where the same command stopped, or start anew."
        ),
    ] = True,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ADDRESS",
            help="Have the workers of a dask.distributed cluster do the work.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Detect and classify every nucleus of a slide, or of many.

    Of a file with several images the largest is taken, and it is said so. With --image all each has
    a file of its own: nuclei-image1.csv, nuclei-image2.csv. Ctrl-C stops, keeps what was found
    until then, and exits with code 130; the same command goes on. Many slides each get a file in
    the folder --out, and a row in its summary.csv; those that are finished are skipped, those that
    fail are listed in the end, and make the exit code 1.
    """
    from muse_core.jobs import DetectJob
    from muse_core.slides import Region

    settings = _settings(config)
    box = Region.parse(region) if region is not None else None
    given_device = device.value if device is not Device.AUTO else settings.pop("device", "auto")
    job = DetectJob(
        slide=slides[0],
        model=model,
        mpp=mpp,
        force_mpp=force_mpp,
        region=None if box is None else [box.x, box.y, box.w, box.h],
        device=cast("DeviceName", given_device),
        backend=backend.value if backend is not Backend.AUTO else settings.pop("backend", "auto"),
        min_score=settings.pop("min_score", None) if min_score is None else min_score,
        plane=plane,
        channels=channels,
        settings=settings or None,
        resume=resume,
        scheduler=scheduler,
    )
    if _many(slides, out, form):
        _detect_many(slides, out, form or ResultFormat.CSV, job, image, features, as_json)
    else:
        _detect_one(out, job, image, features, as_json)


def _settings(config: Path | None) -> dict[str, Any]:
    """The settings of a file that are not the defaults."""
    from muse_core.detect.config import DetectConfig, read_detect_config

    if config is None:
        return {}
    usual = asdict(DetectConfig())
    return {k: v for k, v in asdict(read_detect_config(config)).items() if v != usual[k]}


def _many(slides: list[str], out: Path, form: ResultFormat | None) -> bool:
    """Whether results go into a folder."""
    from muse_core.jobs.slide_list import names_many
    from muse_core.nuclei import WRITABLE_SUFFIXES

    named = out.name.lower().endswith(WRITABLE_SUFFIXES)
    if not names_many(slides):
        return form is not None or (out.is_dir() and not named)
    if named:
        raise UserError(f"--out {out} is the name of one file; of many slides it is a folder.")
    return True


def _detect_one(
    out: Path, job: DetectJob, image: str | None, features: bool, as_json: bool
) -> None:
    from muse_core.cli.console import run_at_terminal
    from muse_core.cli.images import chosen_images, file_of_image
    from muse_core.jobs.detect_job import detect_target

    choices = chosen_images(job.slide, image, job.plane, job.channels)
    jobs = [
        replace(job, image=choice.image, **_files(file_of_image(out, choice, choices), features))
        for choice in choices
    ]
    for one in jobs if len(jobs) > 1 else ():
        detect_target(one)  # before the work of the first, that of the last
    run_at_terminal(jobs, as_json)


def _files(out: Path, features: bool) -> dict[str, Any]:
    return {"out_csv": str(out), "features_in": f"{out}.features" if features else None}


def _detect_many(
    slides: list[str],
    out: Path,
    form: ResultFormat,
    job: DetectJob,
    image: str | None,
    features: bool,
    as_json: bool,
) -> None:
    from muse_core.cli.images import image_number
    from muse_core.cli.many import run_many_at_terminal
    from muse_core.jobs.detect_job import detector_maker
    from muse_core.jobs.detect_many import ManySlides
    from muse_core.jobs.results_folder import ResultsFolder
    from muse_core.jobs.slide_list import listed_slides

    listed = listed_slides(slides)
    number = image_number(image)
    template = replace(job, image=number)
    results = ResultsFolder(out, f".{form.value}")
    every_image = image is not None and number is None
    make = detector_maker(template)
    at_once = _SLIDES_AT_ONCE if job.scheduler else 1
    run = ManySlides(listed, template, results, every_image, features, make, at_once)
    run_many_at_terminal(run, as_json)
