"""``muse convert``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.numbers import number
from muse_core.cli.options import (
    ForceMppOption,
    ImageOption,
    JsonOption,
    OtherSlideOption,
    require_scale_to_force,
)
from muse_core.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from muse_core.nuclei import NucleusFile

# Files of nuclei round to a thousandth of a pixel.
_SAME_PLACE_PX = 0.01

_SourceArgument = Annotated[
    Path,
    typer.Argument(
        metavar="IN", help="CSV, GeoJSON, Parquet, AnnData, SpatialData, or annotations (.muse)."
    ),
]
_OutlinesOption = Annotated[
    bool,
    typer.Option(
        "--outlines-are-nuclei",
        help="In GeoJSON, take each polygon of an annotation for a nucleus, not a region.",
    ),
]
_FeaturesOption = Annotated[
    Path | None,
    typer.Option("--features", help="Folder of muse features, to go into an AnnData file."),
]
_SlideOption = Annotated[
    Path | None,
    typer.Option(
        "--slide",
        help="The nuclei's slide: positions are counted from its scanned area, as in QuPath.",
    ),
]


def convert(
    source: _SourceArgument,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="File to write; its suffix selects the format.")
    ],
    mpp: Annotated[
        float | None,
        typer.Option("--mpp", parser=number, help="Microns per pixel, if the file does not say."),
    ] = None,
    force_mpp: ForceMppOption = False,
    outlines_are_nuclei: _OutlinesOption = False,
    without_deleted: Annotated[
        bool, typer.Option("--without-deleted", help="Leave out nuclei a person has deleted.")
    ] = False,
    features: _FeaturesOption = None,
    slide: _SlideOption = None,
    image: ImageOption = None,
    other_slide: OtherSlideOption = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a file of nuclei to another format; outlines become their centres."""
    from muse_core.cli.given_nuclei import read_given
    from muse_core.files import names_stdout, require_outside
    from muse_core.nuclei import Status, write_nuclei
    from muse_core.nuclei.counted import counted_nuclei
    from muse_core.nuclei.nucleus_file import check_positive_mpp
    from muse_core.slides.scale import settle_scale

    require_scale_to_force(force_mpp, mpp)
    for option, given in (("--image", image is not None), ("--other-slide", other_slide)):
        if given and slide is None:
            raise UserError(f"{option} says something of a slide; give it with --slide.")
    content = read_given(source, outlines_are_nuclei)
    require_outside(out, source)  # it may hold more than is read
    if slide is not None:
        content = _of_slide(content, slide, image, source.name, other_slide)
    table = content.table
    if without_deleted:
        table = table[table["status"] != Status.DELETED.word]
    rows, notes = (None, ()) if features is None else _feature_rows(features, table)
    check_positive_mpp(mpp)
    settled = settle_scale(content.mpp, mpp, force_mpp)
    scale = settled.mpp
    left_out = write_nuclei(out, replace(content, table=table, mpp=scale), features=rows)
    for note in (*content.notes, *settled.notes, *notes, *left_out):
        typer.echo(note, err=True)
    facts = {"nuclei": len(table), "regions": len(content.regions), "mpp": scale, "out": str(out)}
    said = json.dumps(facts) if as_json else f"{counted_nuclei(len(table))} written to {out}."
    # Standard output may hold the nuclei themselves.
    typer.echo(said, err=names_stdout(out))


def _of_slide(
    content: NucleusFile, path: Path, image: str | None, name: str, other_slide: bool
) -> NucleusFile:
    """The same nuclei, counted from the corner of the slide's scanned area, and as of this slide.

    They get the slide's scale if they state none.

    Raises:
        UserError: They are of another one, unless other_slide; or all its images are wanted.
    """
    from muse_core.cli.given_nuclei import given_nuclei_of
    from muse_core.cli.images import chosen_images
    from muse_core.nuclei.store import identify_slide
    from muse_core.slides import open_slide

    choices = chosen_images(path, image, None, None)
    if len(choices) > 1:
        raise UserError("A file of nuclei is of one image; give its number with --image.")
    with open_slide(path, choice=choices[0]) as opened:
        placed = given_nuclei_of(content, opened, name, other_slide)
        origin = (opened.scanned.x, opened.scanned.y)
        recorded = identify_slide(opened.location, opened.part).recorded
        plane_zt, mpp = opened.plane_zt, opened.mpp if content.mpp is None else content.mpp
    placed = placed.counted_from(origin)
    return replace(placed, slide=recorded, plane_zt=plane_zt, mpp=mpp)


def _feature_rows(
    folder: Path, table: pd.DataFrame
) -> tuple[npt.NDArray[np.float16], tuple[str, ...]]:
    """Features in the order of the table, by id, and notes about them.

    Raises:
        UserError: They are not the features of these nuclei.
    """
    import numpy as np
    import pandas as pd

    from muse_core.classify.feature_file import read_features

    found = read_features(folder)
    index = pd.Index(found.ids)
    if not index.is_unique:
        raise UserError(f"{folder} holds a nucleus twice.")
    places = index.get_indexer(pd.Index(table["id"]))
    if (places < 0).any():
        raise UserError(f"{folder} lacks {int((places < 0).sum()):,} of the nuclei.")
    # Ids start at 0 on every slide, so those of another slide are found as well.
    far = np.abs(found.xy[places] - table[["x", "y"]].to_numpy()).max(axis=1) > _SAME_PLACE_PX
    if far.any():
        raise UserError(
            f"In {folder}, {int(far.sum()):,} of the {len(table):,} nuclei lie elsewhere: it is of"
            " another slide, or nuclei have been moved since."
        )
    rows = found.features[places]
    return rows, () if found.attributes.get("complete", True) else (_missing(folder, rows),)


def _missing(folder: Path, rows: npt.NDArray[np.float16]) -> str:
    import numpy as np

    n_missing = int(np.isnan(rows).all(axis=1).sum())
    return (
        f"{folder} is of a run that was stopped: {n_missing:,} of the {len(rows):,} nuclei have"
        " NaN in place of features."
    )
