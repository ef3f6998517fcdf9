"""``muse detect``."""

from __future__ import annotations

import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muse_core.cli.numbers import number
from muse_core.cli.options import (
    SLIDE_PANEL,
    AnyDeviceOption,
    Backend,
    ChannelsOption,
    ConfigOption,
    ForceMppOption,
    ImageOption,
    JsonOption,
    ModelOption,
    MppOption,
    PlaneOption,
    SetOption,
    require_scale_to_force,
)
from muse_core.errors import UserError
from muse_core.ordinary import require_text

if TYPE_CHECKING:
    from muse_core.jobs import DetectJob
    from muse_core.jobs.results_folder import ResultsFolder


_SLIDES_AT_ONCE = 4
"""On a cluster, several slides keep the workers busy while one is opened or written."""


class ResultFormat(StrEnum):
    """File format for the results of many slides."""

    CSV = "csv"
    PARQUET = "parquet"
    GEOJSON = "geojson"
    H5AD = "h5ad"


_SlidesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="SLIDE",
        help="SVS, TIFF, NDPI, OME-Zarr, PNG ... Also folders, patterns, and CSV files with a"
        " column slide and, optionally, mpp.",
    ),
]
_OutOption = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="PATH",
        help="File to write the nuclei to: .csv, .geojson, .parquet, .h5ad or .zarr; for many"
        " slides, or if it ends in /, the folder for their files.",
    ),
]
_FormatOption = Annotated[
    ResultFormat | None,
    typer.Option("--format", help="Format of the files of many slides; csv if left out."),
]
_RegionOption = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="X,Y,W,H",
        rich_help_panel=SLIDE_PANEL,
        help="Only in this rectangle; pixels of the slide.",
    ),
]
_MinScoreOption = Annotated[
    float | None,
    typer.Option(
        "--min-score", parser=number, help="Lowest nucleus probability; else the model's."
    ),
]
_FeaturesOption = Annotated[
    bool | None,
    typer.Option(
        "--features",
        help="Keep the nuclei's features too, beside OUT, in OUT.features.",
        show_default=False,
    ),
]
_ResumeOption = Annotated[
    bool | None,
    typer.Option(
        "--resume/--no-resume",
        help="Resume where the same command stopped, or start again.",
        show_default="resume",
    ),
]
# Settings now; as options they still work.
_BackendOption = Annotated[Backend | None, typer.Option("--backend", hidden=True)]
_SchedulerOption = Annotated[str | None, typer.Option("--scheduler", hidden=True)]


def detect_command(
    slides: _SlidesArgument,
    out: _OutOption,
    form: _FormatOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    model: ModelOption = None,
    mpp: MppOption = None,
    force_mpp: ForceMppOption = False,
    region: _RegionOption = None,
    image: ImageOption = None,
    plane: PlaneOption = None,
    channels: ChannelsOption = None,
    device: AnyDeviceOption = None,
    min_score: _MinScoreOption = None,
    features: _FeaturesOption = None,
    resume: _ResumeOption = None,
    backend: _BackendOption = None,
    scheduler: _SchedulerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Detect and classify every nucleus of a slide, or of many.

    If a file has several images, the largest is used, with a note. With --image all, each image
    gets its own file: nuclei-image1.csv, nuclei-image2.csv. Ctrl-C stops, keeps what was found
    until then, and exits with code 130; the same command resumes. For many slides, --out is a
    folder with a file for each and a summary.csv. Finished slides are skipped; slides that fail
    are listed at the end, with exit code 1.

    All settings (tile_px, batch, backend, scheduler ...) can be given in a file with --config, or
    with --set NAME=VALUE. Options override --set, which overrides the file.
    """
    from muse_core.config_file import read_values, with_settings
    from muse_core.jobs.detect_values import detect_job
    from muse_core.jobs.results_folder import ResultsFolder
    from muse_core.slides import Region

    values = with_settings(read_values(config) if config else {}, settings or ())
    for slide in slides:
        require_text(slide)
    box = Region.parse(region) if region is not None else None
    flags: dict[str, object] = {
        "model": model, "mpp": mpp, "force_mpp": force_mpp or None, "plane": plane,
        "channels": channels, "device": device, "min_score": min_score, "features": features,
        "region": [box.x, box.y, box.w, box.h] if box else None, "resume": resume,
        "backend": backend, "scheduler": scheduler,
    }  # fmt: skip
    values |= {name: value for name, value in flags.items() if value is not None}
    job = detect_job(values, slides[0], config.name if config else "The command line")
    which = image if image is not None else None if job.image is None else str(job.image)
    keep_features = bool(values.get("features"))
    if _many(slides, out, form):
        results = ResultsFolder(Path(out), f".{(form or ResultFormat.CSV).value}")
        _detect_many(slides, results, job, which, keep_features, as_json)
    else:
        _detect_one(Path(out), job, which, keep_features, as_json)


def _many(slides: list[str], given: str, form: ResultFormat | None) -> bool:
    """Whether results go into a folder; that is told from how --out was typed, too."""
    from muse_core.jobs.slide_list import names_many
    from muse_core.nuclei import WRITABLE_SUFFIXES

    out = Path(given)
    named = out.name.lower().endswith(WRITABLE_SUFFIXES)
    many = names_many(slides)
    if not many and form is None:
        return not named and (out.is_dir() or given.endswith(("/", os.sep)))
    if named:
        why = "of many slides" if many else "with --format"
        raise UserError(f"--out {out} is the name of one file; {why} it is a folder.")
    return True


def _detect_one(
    out: Path, job: DetectJob, image: str | None, features: bool, as_json: bool
) -> None:
    from muse_core.cli.console import run_at_terminal
    from muse_core.cli.images import chosen_images, file_of_image
    from muse_core.jobs.detect_checks import require_detectable

    require_scale_to_force(job.force_mpp, job.mpp)
    choices = chosen_images(job.slide, image, job.plane, job.channels)
    jobs = [
        replace(job, image=choice.image, **_files(file_of_image(out, choice, choices), features))
        for choice in choices
    ]
    # Before the work of the first, that of the last.
    for one in jobs if len(jobs) > 1 else ():
        try:
            require_detectable(one)
        except UserError as error:
            raise UserError(f"Image {one.image}: {error}") from error
    run_at_terminal(jobs, as_json)


def _files(out: Path, features: bool) -> dict[str, Any]:
    return {"out_csv": require_text(out), "features_in": f"{out}.features" if features else None}


def _detect_many(
    slides: list[str],
    results: ResultsFolder,
    job: DetectJob,
    image: str | None,
    features: bool,
    as_json: bool,
) -> None:
    from muse_core.cli.images import image_number
    from muse_core.cli.many import run_many_at_terminal
    from muse_core.files import require_outside
    from muse_core.jobs.detect_job import detector_maker
    from muse_core.jobs.detect_many import ManySlides
    from muse_core.jobs.slide_list import listed_slides

    listed = listed_slides(slides)
    require_scale_to_force(job.force_mpp, job.mpp, *(slide.mpp for slide in listed))
    for slide in listed:
        require_outside(results.folder, slide.path)
    number = image_number(image)
    template = replace(job, image=number)
    every_image = image is not None and number is None
    make = detector_maker(template)
    at_once = _SLIDES_AT_ONCE if job.scheduler else 1
    run = ManySlides(listed, template, results, every_image, features, make, at_once)
    run_many_at_terminal(run, as_json)
