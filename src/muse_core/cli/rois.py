"""``muse rois``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.numbers import integer, number
from muse_core.cli.options import (
    ChannelsOption,
    Device,
    DeviceOption,
    ForceMppOption,
    ImageOption,
    JsonOption,
    ModelOption,
    MppOption,
    OtherSlideOption,
    PlaneOption,
    require_scale_to_force,
)
from muse_core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from muse_core.pretrain.roi_manifest import RoiManifest
    from muse_core.pretrain.rois import FindNuclei
    from muse_core.slides import Region, Slide

_SlidesArgument = Annotated[
    list[Path], typer.Argument(metavar="SLIDE", help="Slides or images, any readable file.")
]
_PointsOption = Annotated[
    Path | None,
    typer.Option(
        "--points",
        help="File with the nuclei of the slide, or folder with SLIDE_STEM.csv for each slide"
        " (SLIDE_STEM-imageN.csv for each image of several); else the model finds them.",
    ),
]
_RoiMppOption = Annotated[
    float,
    typer.Option(
        "--roi-mpp",
        parser=number,
        help="Microns per pixel of the ROIs; a coarser slide keeps its own.",
    ),
]
_MinTissueOption = Annotated[
    float, typer.Option("--min-tissue", parser=number, help="Share of a ROI that must be tissue.")
]


def rois(
    slides: _SlidesArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder for the ROIs.")],
    points: _PointsOption = None,
    roi_px: Annotated[
        int, typer.Option("--roi-px", parser=integer, help="Largest side of a ROI.")
    ] = 2048,
    roi_mpp: _RoiMppOption = 0.25,
    mpp: MppOption = None,
    force_mpp: ForceMppOption = False,
    min_tissue: _MinTissueOption = 0.2,
    image: ImageOption = None,
    plane: PlaneOption = None,
    channels: ChannelsOption = None,
    other_slide: OtherSlideOption = False,
    model: ModelOption = None,
    device: DeviceOption = Device.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Cut tissue into ROIs with the centres of their nuclei, to pretrain on.

    Ctrl-C stops and exits with code 130; the same command resumes. More slides can be added to a
    folder later.
    """
    from muse_core.cli.console import cancel_on_signals, progress_bar
    from muse_core.cli.images import chosen_images, say_notes
    from muse_core.files import require_outside, resumable
    from muse_core.jobs.progress import ProgressReporter
    from muse_core.pretrain.roi_manifest import (
        MANIFEST_NAME,
        RoiSettings,
        look_into_roi_folder,
    )
    from muse_core.pretrain.rois import cut_slide
    from muse_core.slides import open_slide

    require_scale_to_force(force_mpp, mpp)
    if other_slide and points is None:
        raise UserError("--other-slide says something of given nuclei; give them with --points.")
    for path in slides:
        require_outside(out, path)
    if points is not None:
        _check_stems(slides, points)
    wanted = [(p, c) for p in slides for c in chosen_images(p, image, plane, channels)]
    name, finder = _finder(points, model, device.value, len(wanted), other_slide)
    settings = RoiSettings(roi_px=roi_px, mpp=roi_mpp, min_tissue=min_tissue, nuclei=name)
    manifest = look_into_roi_folder(out, settings)
    kept = out / MANIFEST_NAME
    with cancel_on_signals() as cancel, progress_bar() as show, resumable(kept):
        for path, choice in wanted:
            with open_slide(path, mpp, choice, force_mpp) as slide:
                say_notes(slide)
                longer = cut_slide(
                    slide, out, manifest, finder(slide), ProgressReporter(show), cancel.is_set
                )
            if longer is None:
                typer.echo("Cancelled; the same command goes on.", err=True)
                raise typer.Exit(130)
            manifest = longer
    _say_end(out, manifest, as_json)


def _say_end(out: Path, manifest: RoiManifest, as_json: bool) -> None:
    from muse_core.nuclei.counted import counted, counted_nuclei

    for source in manifest.sources:
        for roi in source.left_out:
            typer.echo(f"note: {source.name} is cut without its {roi}", err=True)
    nuclei = sum(roi.n_nuclei for roi in manifest.rois)
    figures = {"slides": len(manifest.sources), "rois": len(manifest.rois), "nuclei": nuclei}
    rois = counted(figures["rois"], "ROI", "ROIs")
    sentence = f"{out} holds {rois} of {counted(figures['slides'], 'slide', 'slides')}"
    typer.echo(json.dumps(figures) if as_json else f"{sentence}, with {counted_nuclei(nuclei)}.")


def _check_stems(slides: list[Path], folder: Path) -> None:
    """Refuse slides that would share one file of points.

    Raises:
        UserError: Two of them differ in folder or suffix alone.
    """
    known: dict[str, Path] = {}
    for slide in slides:
        whole, short = _stems(slide)
        stem = whole if (folder / f"{whole}.csv").is_file() else short
        other = known.setdefault(stem, slide)
        if os.path.realpath(other) != os.path.realpath(slide):
            raise UserError(
                f"{other} and {slide} would both get the nuclei of {stem}.csv; give them in"
                " several calls, each with its own --points."
            )


def _stems(slide: Path) -> tuple[str, str]:
    """A slide's name without its last ending, and as muse detect names results: without ".ome"."""
    from muse_core.jobs.results_folder import stem_of_slide

    return slide.stem, stem_of_slide(str(slide))


def _finder(
    points: Path | None, model: str | None, device: str, n_slides: int, other_slide: bool
) -> tuple[str, Callable[[Slide], FindNuclei]]:
    """Return the nuclei's name in the manifest, and a function that finds those of a slide."""
    if points is None:
        name, find = _detector(model, device)
        return name, lambda slide: find
    if not points.is_dir() and n_slides > 1:
        raise UserError("--points is one file, but there are several slides; give a folder.")
    return "points", lambda slide: _given(
        _points_of(slide, points) if points.is_dir() else points, slide, other_slide
    )


def _points_of(slide: Slide, folder: Path) -> Path:
    """SLIDE_STEM.csv; of several images SLIDE_STEM-imageN.csv, as muse detect names them."""
    whole, short = (_of_stem(slide, folder / f"{stem}.csv") for stem in _stems(slide.path))
    return short if short.is_file() and not whole.is_file() else whole


def _of_stem(slide: Slide, named: Path) -> Path:
    from muse_core.cli.images import named_after
    from muse_core.files import spelt_as

    whole = spelt_as(named)
    if slide.n_images == 1:
        return whole
    own = spelt_as(named_after(whole, slide.image.number or 1))
    opened_unasked = "image=" not in slide.part
    return whole if opened_unasked and whole.is_file() and not own.is_file() else own


def _detector(model: str | None, device: str) -> tuple[str, FindNuclei]:
    from muse_core.detect import DetectConfig, Detector, open_backend
    from muse_core.models.registry import resolve_model

    config = DetectConfig(device=device)
    detector = Detector(open_backend(resolve_model(model), config), config)

    def find(rgb: npt.NDArray[np.uint8], mpp: float, region: Region) -> npt.NDArray[np.float32]:
        result: npt.NDArray[np.float32] = detector.detect_image(rgb, mpp)[["x", "y"]].to_numpy(
            dtype="float32"
        )
        return result

    return detector.card.name, find


def _given(path: Path, slide: Slide, other_slide: bool) -> FindNuclei:
    from muse_core.cli.given_nuclei import given_nuclei_of, read_given
    from muse_core.nuclei import Status
    from muse_core.nuclei.fitting import moved_inside

    given = given_nuclei_of(read_given(path), slide, path.name, other_slide)
    for note in given.notes:
        typer.echo(note, err=True)
    table = given.table[given.table["status"] != Status.DELETED.word]
    xy = moved_inside(table[["x", "y"]].to_numpy(dtype="float64"), slide.width, slide.height)

    def find(rgb: npt.NDArray[np.uint8], mpp: float, region: Region) -> npt.NDArray[np.float32]:
        height, width = rgb.shape[:2]
        local = (xy - [region.x, region.y]) * [width / region.w, height / region.h]
        inside = ((local >= 0) & (local < [width, height])).all(axis=1)
        result: npt.NDArray[np.float32] = local[inside].astype("float32")
        return result

    return find
