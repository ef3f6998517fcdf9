"""``muse features``."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from muse_core.cli.numbers import integer
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
    import pandas as pd

    from muse_core.classify.features import FeatureSpec
    from muse_core.models.card import ModelCard
    from muse_core.slides import ImageChoice, Slide

    _Chunk = tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]

_SlideArgument = Annotated[
    Path, typer.Argument(metavar="SLIDE", help="SVS, TIFF, NDPI, OME-Zarr, PNG ...")
]
_PointsOption = Annotated[
    Path, typer.Option("--points", help="Nuclei: CSV, GeoJSON, Parquet, AnnData, .muse.")
]
_FovOption = Annotated[
    int | None,
    typer.Option("--fov-px", parser=integer, help="Side of the tiles; else the model's."),
]


def features(
    slide: _SlideArgument,
    points: _PointsOption,
    out: Annotated[Path, typer.Option("--out", help="Zarr folder to write.")],
    model: ModelOption = None,
    mpp: MppOption = None,
    force_mpp: ForceMppOption = False,
    fov_px: _FovOption = None,
    image: ImageOption = None,
    plane: PlaneOption = None,
    channels: ChannelsOption = None,
    other_slide: OtherSlideOption = False,
    device: DeviceOption = Device.AUTO,
    as_json: JsonOption = False,
) -> None:
    """Compute the features of a slide's nuclei, one row each in the order of the file.

    Each nucleus is seen in the tile where it lies most central. With --image all, the nuclei of
    each image are read from its own file, as muse detect writes it (nuclei-image1.csv for --points
    nuclei.csv), and folders are named likewise. Ctrl-C stops, keeps what was computed until then,
    and exits with code 130.
    """
    from muse_core.cli.console import cancel_on_signals
    from muse_core.cli.images import chosen_images, file_of_image

    choices = chosen_images(slide, image, plane, channels)
    plans = [
        _Plan(
            slide,
            choice,
            file_of_image(points, choice, choices),
            file_of_image(out, choice, choices),
            mpp,
            force_mpp,
            fov_px,
            device.value,
            other_slide,
        )
        for choice in choices
    ]
    for plan in plans:
        _check_target(plan.out, slide)
    # Before the work of the first, that of the last.
    for plan in plans if len(plans) > 1 else ():
        _require_computable(plan)
    results: list[_Result] = []
    with cancel_on_signals() as cancel:
        for plan in plans:
            result = _compute(plan, model, cancel)
            results.append(result)
            if not as_json:
                typer.echo(_sentence(result), err=result["cancelled"])
            if result["cancelled"]:
                break
    cancelled = any(result["cancelled"] for result in results)
    if as_json:
        whole = {"images": results, "cancelled": cancelled}
        typer.echo(json.dumps(results[0] if len(plans) == 1 else whole))
    if cancelled:
        raise typer.Exit(130)


@dataclass(frozen=True)
class _Plan:
    """Plan of the features to compute for one image."""

    slide: Path
    choice: ImageChoice
    points: Path
    out: Path
    mpp: float | None
    force_mpp: bool
    fov_px: int | None
    device: str
    other_slide: bool

    def __post_init__(self) -> None:
        require_scale_to_force(self.force_mpp, self.mpp)


class _Facts(TypedDict):
    """Metadata of an image's features, as written to their file: model, scale and slide."""

    model: str
    mpp: float
    fov_px: int
    slide: str
    image: int | None
    plane: int
    slide_mpp: float
    slide_mpp_from: str


class _Result(_Facts):
    """Report on one image, as written to JSON."""

    nuclei: int
    done: int
    unread: int
    channels: int
    out: str
    cancelled: bool


def _compute(plan: _Plan, model: str | None, cancel: threading.Event) -> _Result:
    """Compute and write the features of one image; returns what was done."""
    from muse_core.cli.console import progress_bar
    from muse_core.cli.given_nuclei import given_nuclei_of, read_given
    from muse_core.cli.images import say_notes
    from muse_core.jobs.progress import ProgressReporter
    from muse_core.models.card import read_card
    from muse_core.models.registry import resolve_model
    from muse_core.slides import open_slide

    given = read_given(plan.points)
    table = given.table
    path = resolve_model(model)
    card = read_card(path)
    with open_slide(plan.slide, plan.mpp, plan.choice, plan.force_mpp) as opened:
        opened.require_mpp()
        say_notes(opened)
        placed = given_nuclei_of(given, opened, plan.points.name, plan.other_slide)
        for note in placed.notes:
            typer.echo(note, err=True)

        from muse_core.classify.features import FeatureSpec, FeatureTally, iter_features
        from muse_core.detect import choose_device
        from muse_core.models.checkpoint import load_backbone
        from muse_core.nuclei.store import unchanged

        backbone, _ = load_backbone(path)
        spec = FeatureSpec(card.mpp, card.fov_px if plan.fov_px is None else plan.fov_px)
        with progress_bar() as show:
            report = ProgressReporter(show)
            tally = FeatureTally()

            def chunks() -> Iterator[_Chunk]:
                xy = placed.table[["x", "y"]].to_numpy()
                where = choose_device(plan.device)
                with unchanged(opened.location, opened.part):
                    for chunk in iter_features(opened, xy, backbone, spec, where, cancel.is_set):
                        report(chunk.tiles_done, chunk.tiles_total, "Computing features")
                        tally.add(chunk)
                        if len(chunk.rows):
                            yield chunk.rows, chunk.features

            facts = _facts_of(card, spec, opened)
            _write(plan.out, table, backbone.out_channels, chunks(), dict(facts))
    if tally.unread:
        typer.echo(f"note: {tally.note()}", err=True)
    return {
        **facts,
        "nuclei": len(table),
        "done": tally.done,
        "unread": tally.unread,
        "channels": backbone.out_channels,
        "out": str(plan.out),
        "cancelled": tally.is_cut_short(len(table)),
    }


def _facts_of(card: ModelCard, spec: FeatureSpec, slide: Slide) -> _Facts:
    return {
        "model": card.name,
        "mpp": card.mpp,
        "fov_px": spec.fov_px,
        "slide": slide.name,
        "image": slide.image.number,
        "plane": slide.plane,
        "slide_mpp": slide.require_mpp(),
        "slide_mpp_from": slide.scale.source.value,
    }


def _write(
    out: Path,
    table: pd.DataFrame,
    n_channels: int,
    chunks: Iterator[_Chunk],
    facts: dict[str, Any],
) -> None:
    """Write features unless none come, so that a cancel leaves an earlier result.

    For the arguments see :func:`muse_core.classify.feature_file.write_features`.
    """
    from muse_core.classify.feature_file import write_features

    first = next(chunks, None)
    if first is None and len(table):
        return
    found = chain(() if first is None else (first,), chunks)
    write_features(out, table, n_channels, found, facts)


def _sentence(result: _Result) -> str:
    from muse_core.nuclei.counted import counted_nuclei

    if result["cancelled"] and not result["done"]:
        nuclei = counted_nuclei(result["nuclei"])
        return f"Cancelled before the first of {nuclei}; nothing is written."
    kept = "Cancelled; " if result["cancelled"] else ""
    return (
        f"{kept}{result['done']:,} of {result['nuclei']:,} nuclei with {result['channels']}"
        f" features each, written to {result['out']}."
    )


def _require_computable(plan: _Plan) -> None:
    """Refuse an image without a scale or a file of nuclei."""
    from muse_core.slides import open_slide

    if not plan.points.exists():
        raise UserError(f"There is no file {plan.points}.")
    with open_slide(plan.slide, plan.mpp, plan.choice, plan.force_mpp) as opened:
        try:
            opened.require_mpp()
        except UserError as error:
            raise UserError(f"Image {plan.choice.image}: {error}") from error


def _check_target(out: Path, slide: Path) -> None:
    """Refuse to overwrite anything other than older features.

    Raises:
        UserError: There is no folder for it, it is or lies in the slide, or something else has its
            name.
    """
    from muse_core.classify.feature_file import is_feature_file
    from muse_core.files import entries, require_outside, require_writable_folder
    from muse_core.nuclei import WRITABLE_SUFFIXES

    if out.suffix.lower() != ".zarr" and out.name.lower().endswith(WRITABLE_SUFFIXES):
        raise UserError(f"Cannot write {out}: features are a folder, and this names a file.")
    parent = out.absolute().parent
    if not parent.is_dir():
        raise UserError(f"Cannot write {out}: there is no folder {parent}.")
    require_outside(out, slide)
    require_writable_folder(out, parent)
    if out.is_file() or (out.is_dir() and entries(out) and not is_feature_file(out)):
        raise UserError(f"Cannot write {out}: there is something else of this name.")
