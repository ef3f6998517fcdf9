"""Points-folders: ``images/`` and, for each image, ``points/STEM.csv`` with x, y and class.

Coordinates are pixels of the image, origin at the corner of the first pixel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError
from muse_core.files import entries, spelt_as
from muse_core.nuclei import Status
from muse_core.nuclei.counted import counted
from muse_core.nuclei.formats.csv import (
    BOX_COLUMNS,
    PART_COLUMNS,
    nuclei_alone,
    require_centres,
    require_one_part_in,
)
from muse_core.nuclei.formats.headings import positions_in_pixels, spellings
from muse_core.nuclei.repeated import CONTRADICTED
from muse_core.ordinary import require_folder
from muse_core.slides import Region, open_slide
from muse_core.tables import Column, CsvTable, read_csv_table

POINTS_CSV = {
    # Pixels of an image are those of its full resolution, as files of nuclei have them.
    "x": Column(("x", *positions_in_pixels("x")), number=True),
    "y": Column(("y", *positions_in_pixels("y")), number=True),
    "class": Column(("class", *spellings("class_name"), "classification")),
    "status": Column(("status",), needed=False),
    "object_type": Column(spellings("object_type"), needed=False),
    "slide_content": Column(("slide_content",), needed=False),
    **PART_COLUMNS,
    **BOX_COLUMNS,
}
_IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
_SLACK_PX = 8.0
"""Annotations may lie a little over the border, where a nucleus is cut."""
_REPEATED = (
    "line repeats another, and its nucleus counts once",
    "lines repeat others, and each nucleus counts once",
)


@dataclass(frozen=True)
class AnnotatedImage:
    """One image with its nuclei.

    Attributes:
        name: File name without suffix.
        image: (H, W, 3) uint8 RGB.
        xy: (N, 2) float32, pixels.
        class_names: N names.
        mpp: Microns per pixel.
    """

    name: str
    image: npt.NDArray[np.uint8]
    xy: npt.NDArray[np.float32]
    class_names: tuple[str, ...]
    mpp: float


def read_points_folder(
    folder: str | Path,
    mpp: float,
    names: Collection[str] | None = None,
    force_mpp: bool = False,
) -> tuple[AnnotatedImage, ...]:
    """Read a points-folder, sorted by file name; what is given twice in it counts once.

    Args:
        folder: Folder with ``images/`` and ``points/``.
        mpp: Microns per pixel of all its images that do not state it themselves.
        names: File names without suffix of the images to read; None reads all.
        force_mpp: Whether ``mpp`` replaces a scale that an image states.

    Raises:
        UserError: A folder or file is missing or malformed, or a name is not there.
    """
    paths = image_paths(folder)
    if names is not None:
        missing = set(names) - {p.stem for p in paths}
        if missing:
            raise UserError(f"There is no image {sorted(missing)[0]!r} in {folder}.")
        paths = [p for p in paths if p.stem in names]
    return tuple(_read_one(path, mpp, force_mpp) for path in paths)


def folder_notes(folder: str | Path, mpp: float, force_mpp: bool = False) -> tuple[str, ...]:
    """Sentences for the user if a points-folder is not as one would expect.

    Images are missing or state another scale, or nuclei are given more than once.

    Args:
        folder: See :func:`read_points_folder`.
        mpp: See :func:`read_points_folder`.
        force_mpp: See :func:`read_points_folder`.

    Raises:
        UserError: The folder, an image or a file of points is missing or malformed.
    """
    paths = image_paths(folder)
    notes = (*_scale_notes(folder, paths, mpp, force_mpp), *_place_notes(folder, paths))
    stems = {p.stem for p in paths}
    files = entries(Path(folder) / "points")
    alone = [p.name for p in files if p.suffix.lower() == ".csv" and p.stem not in stems]
    if alone:
        which = counted(len(alone), "file of points has", "files of points have")
        notes += (f"In {folder} {which} no image and no effect (first: {alone[0]}).",)
    return notes


def _scale_notes(
    folder: str | Path, paths: Sequence[Path], mpp: float, force_mpp: bool
) -> tuple[str, ...]:
    odd: list[tuple[str, float]] = []
    for path in paths:
        with open_slide(path, mpp=mpp, force_mpp=force_mpp) as slide:
            if slide.scale.notes:
                odd.append((path.name, slide.scale.stated_mpp or mpp))
    if not odd:
        return ()
    name, stated = odd[0]
    which = (
        f"{len(odd):,} of {len(paths):,} images in {folder} state another scale than the given"
        f" {mpp:g} um/px (first: {name}, {stated:g})"
    )
    if force_mpp:
        return (f"{which}; the given one is used.",)
    return (f"{which}; theirs is used, unless --force-mpp says otherwise.",)


def _place_notes(folder: str | Path, paths: Sequence[Path]) -> tuple[str, ...]:
    """Notes on nuclei that lie exactly where another one does, or if there are none at all."""
    repeated, contradicted, n_nuclei = Counter[str](), Counter[str](), 0
    for path in paths:
        points = _points_of(path)
        found = _read_points(points)
        once = found.drop_duplicates()
        n_nuclei += len(once)
        repeated[points.name] = len(found) - len(once)
        contradicted[points.name] = int(once.duplicated(["x", "y"]).sum())
    notes = [] if n_nuclei else [f"In {folder} no nucleus is annotated."]
    for counts, one, many in ((repeated, *_REPEATED), (contradicted, *CONTRADICTED)):
        if counts.total():
            first = next(name for name, count in counts.items() if count)
            notes.append(f"In {folder} {counted(counts.total(), one, many)} (first: {first}).")
    return tuple(notes)


def image_paths(folder: str | Path) -> list[Path]:
    """The images of a points-folder, sorted by file name.

    Raises:
        UserError: It is not there or no points-folder, there is no image in it, one is of another
            format, or two differ in their suffix alone, so that their points would be the same
            file.
    """
    root = require_folder(folder)
    images = root / "images"
    if not images.is_dir() or not (root / "points").is_dir():
        raise UserError(f"{root} is not a points-folder: it needs folders images/ and points/.")
    files = entries(images)
    paths = [p for p in files if p.suffix.lower() in _IMAGE_SUFFIXES]
    stems = {p.stem for p in paths}
    for path in files:
        if path.stem not in stems and spelt_as(root / "points" / f"{path.stem}.csv").is_file():
            raise UserError(f"{path} has points, but images here are PNG, JPEG or TIFF.")
    if not paths:
        raise UserError(f"There is no image in {images}.")
    for stem, count in Counter(p.stem for p in paths).items():
        if count > 1:
            raise UserError(
                f"{images} holds {count} images named {stem}, which would share one file of points."
            )
    return paths


def require_inside(xy: npt.NDArray[np.float64], image: npt.NDArray[np.uint8], named: str) -> None:
    """Refuse nuclei that lie clearly outside their image.

    Args:
        xy: (N, 2) in pixels of the image.
        image: (H, W, 3).
        named: What holds them, for the message.

    Raises:
        UserError: One lies outside.
    """
    height, width = image.shape[:2]
    within = (xy >= -_SLACK_PX) & (xy <= (width + _SLACK_PX, height + _SLACK_PX))
    outside = int((~within.all(axis=1)).sum())
    if outside:
        raise UserError(
            f"{outside:,} of {len(xy):,} points in {named} lie outside the image, which is"
            f" {width} x {height} px."
        )


def class_names_in(images: Iterable[AnnotatedImage]) -> tuple[str, ...]:
    """All classes that occur, sorted."""
    return tuple(sorted({name for image in images for name in image.class_names}))


def _points_of(image: Path) -> Path:
    """The file with the points of an image; raises UserError where it is missing."""
    path = spelt_as(image.parent.parent / "points" / f"{image.stem}.csv")
    if not path.is_file():
        raise UserError(f"{image.name} has no points: {path} is missing.")
    return path


def _read_one(image_path: Path, mpp: float, force_mpp: bool) -> AnnotatedImage:
    points_path = _points_of(image_path)
    found = _read_points(points_path).drop_duplicates()
    with open_slide(image_path, mpp=mpp, force_mpp=force_mpp) as slide:
        slide.require_only_image()
        image, scale = slide.read(Region(0, 0, slide.width, slide.height)), slide.require_mpp()
    xy = found[["x", "y"]].to_numpy(np.float64)
    # No model could find them, and training would look for them outside the image.
    require_inside(xy, image, str(points_path))
    points = xy.astype(np.float32)
    return AnnotatedImage(image_path.stem, image, points, tuple(found["class"]), scale)


def _read_points(path: Path) -> pd.DataFrame:
    """The columns x, y, in pixels, and class of a file of points."""
    try:
        raw = _without_deleted(nuclei_alone(read_csv_table(path, POINTS_CSV)))
        require_one_part_in(raw)
        require_centres(raw.headings, "x")
        return pd.DataFrame(
            {"x": raw.numbers("x"), "y": raw.numbers("y"), "class": raw.names("class")}
        )
    except UserError as error:
        # Files of several folders have the same names.
        named = f"{path.name}: " if path.name not in str(error) else ""
        raise UserError(f"{path.parent}: {named}{error}") from error


def _without_deleted(raw: CsvTable) -> CsvTable:
    """Leave out nuclei that a person has deleted, which files of nuclei still hold."""
    if "status" not in raw:
        return raw
    gone = raw.cells["status"].str.strip().str.lower() == Status.DELETED.word
    return raw.where(~gone.to_numpy(dtype=bool), f"{int(gone.sum()):,} deleted nuclei left out.")
