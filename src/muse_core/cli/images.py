"""Options that choose images of a slide, names of their output files, and notes on inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from muse_core.errors import UserError

if TYPE_CHECKING:
    from muse_core.slides import ImageChoice, Slide

_ALL = "all"
_NUMBER = re.compile(r"[0-9]{1,6}")
_ENDING = re.compile(r"(\.[A-Za-z][A-Za-z0-9]{0,11})?(\.gz)?$")


def chosen_images(
    slide: str | Path, image: str | None, plane: int | None, channels: str | None
) -> list[ImageChoice]:
    """Return the image choices that the options of a command give, one for each image.

    Args:
        slide: The file; it is opened to count its images where all are wanted.
        image: A number or "all"; None leaves it to the file.
        plane: Number of a plane.
        channels: As in :class:`muse_core.slides.ImageChoice`.

    Raises:
        UserError: An option is invalid, or the slide cannot be opened.
    """
    from muse_core.slides import ImageChoice, open_slide

    number = image_number(image)
    if image is None or number is not None:
        return [ImageChoice(number, plane, channels)]
    with open_slide(slide, choice=ImageChoice(None, None, channels)) as opened:
        count = opened.n_images
    if count == 1:
        return [ImageChoice(None, plane, channels)]
    return [ImageChoice(number, plane, channels) for number in range(1, count + 1)]


def image_number(image: str | None) -> int | None:
    """The number that --image gives; None where it is "all" or left out.

    Raises:
        UserError: It is neither.
    """
    text = _ALL if image is None else image.strip().lower()
    if _NUMBER.fullmatch(text):
        return int(text)
    if text != _ALL:
        raise UserError(f"--image takes a number or {_ALL}, got {image!r}.")
    return None


def file_of_image(path: Path, choice: ImageChoice, choices: Sequence[ImageChoice]) -> Path:
    """The file of one of several images: nuclei.csv becomes nuclei-image2.csv.

    Args:
        path: As the user gave it; it is returned for a single image.
        choice: Which image.
        choices: All images that the command is for.

    Raises:
        UserError: The path is a device or a pipe, which cannot hold several.
    """
    if len(choices) == 1:
        return path
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"{path} cannot hold the nuclei of several images; give a file.")
    return named_after(path, choice.image or 1)


def named_after(path: Path, number: int) -> Path:
    """The name of a file that belongs to an image of a slide."""
    ending = _ENDING.search(path.name)
    at = ending.start() if ending and ending.start() > 0 else len(path.name)
    return path.with_name(f"{path.name[:at]}-image{number}{path.name[at:]}")


def say_notes(slide: Slide) -> None:
    """Print notes on standard error: which image and plane is used, and how it is read."""
    for note in slide.notes:
        typer.echo(f"note: {note}", err=True)


def say_folder_notes(folders: Iterable[str | Path], mpp: float, force_mpp: bool) -> None:
    """Print on standard error what is odd about points-folders.

    Raises:
        UserError: One cannot be read.
    """
    from muse_core.data.points_folder import folder_notes

    for folder in folders:
        for note in folder_notes(folder, mpp, force_mpp):
            typer.echo(note, err=True)
