"""Options of ``muse finetune`` that name its training data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from muse_core.cli.images import say_folder_notes
from muse_core.cli.numbers import number
from muse_core.errors import UserError
from muse_core.typed_number import read_number

if TYPE_CHECKING:
    from muse_core.finetune.inputs import LabelSet

_PANEL = "Data"

AnnotationsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--annotations",
        rich_help_panel=_PANEL,
        help="Annotation store (.muse) of a slide; repeatable.",
    ),
]
SlideOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--slide",
        rich_help_panel=_PANEL,
        help="Slide of each store in turn, if not beside it; repeatable.",
    ),
]
SlideMppOption = Annotated[
    float | None,
    typer.Option(
        "--slide-mpp",
        parser=number,
        rich_help_panel=_PANEL,
        help="Microns per pixel of slides whose files do not say.",
    ),
]
TrainOption = Annotated[
    list[str] | None,
    typer.Option(
        "--train",
        metavar="DIR[=MPP]",
        rich_help_panel=_PANEL,
        help="Folder with images/ and points/; repeatable.",
    ),
]
ClassMapOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--class-map",
        rich_help_panel=_PANEL,
        help="JSON file that maps the classes of a folder to the model's: one for all --train, or"
        " repeated, one for each in turn.",
    ),
]
DetectionOnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--detection-only",
        metavar="DIR=MPP",
        rich_help_panel=_PANEL,
        help="Folder with other classes, from which only detection is learnt; repeatable.",
    ),
]
TrainMppOption = Annotated[
    float | None,
    typer.Option(
        "--mpp",
        parser=number,
        rich_help_panel=_PANEL,
        help="Microns per pixel of --val, and of --train without =MPP.",
    ),
]
ValOption = Annotated[
    Path | None,
    typer.Option("--val", rich_help_panel=_PANEL, help="Folder to choose the best weights on."),
]
UnlabeledOption = Annotated[
    list[str] | None,
    typer.Option(
        "--unlabeled",
        metavar="PATH[=MPP]",
        rich_help_panel=_PANEL,
        help="Slide or folder of images without annotations, for --mode full; repeatable.",
    ),
]
SameClassOption = Annotated[
    list[str] | None,
    typer.Option(
        "--same-class",
        metavar="OLD=NEW",
        help="A class of the model that means the same as a class to learn; repeatable.",
    ),
]
_Values = dict[str, object]


def stores(
    paths: Sequence[Path] | None,
    slides: Sequence[Path] | None,
    mpp: float | None,
    force_mpp: bool,
    channels: str | None,
) -> list[_Values] | None:
    """Return the annotation stores of a command line, None without any.

    Raises:
        UserError: There are more slides than stores.
    """
    if len(slides or ()) > len(paths or ()):
        raise UserError("There are more --slide than --annotations.")
    if not paths and (mpp is not None or channels is not None):
        raise UserError("--slide-mpp and --channels say something of --annotations; give some.")
    if not paths:
        return None
    common = {"mpp": mpp, "force_mpp": force_mpp, "channels": channels}
    return [{"store": s, "slide": slide, **common} for s, slide in zip_longest(paths, slides or ())]


def folders(
    train: Sequence[str] | None,
    class_maps: Sequence[Path] | None,
    detection_only: Sequence[str] | None,
    mpp: float | None,
    has_val: bool,
    force_mpp: bool,
) -> list[_Values] | None:
    """Return the points-folders of a command line, None without any.

    Raises:
        UserError: A folder has no scale, or there are class maps for other than one or all folders.
    """
    if mpp is not None and not (train or has_val):
        raise UserError(
            "--mpp says something of --train and --val; give one of them. The scale of the slides"
            " of --annotations is --slide-mpp."
        )
    own = _with_maps([_train(text, mpp) for text in train or ()], class_maps or ())
    places = [_detection_only(text) for text in detection_only or ()]
    return [{**values, "force_mpp": force_mpp} for values in (*own, *places)] or None


def validation(folder: Path | None, mpp: float | None, force_mpp: bool) -> _Values | None:
    """Return the folder to validate on; raises UserError where its scale is missing."""
    return None if folder is None else {**_folder(folder, mpp), "force_mpp": force_mpp}


def say_notes_on(folders: Iterable[LabelSet]) -> None:
    """Print on standard error what is odd about folders; raises UserError for unreadable ones."""
    # A missing folder is reported by the run itself, with all other input errors.
    for folder in (f for f in folders if f.folder.is_dir()):
        say_folder_notes((folder.folder,), folder.mpp, folder.force_mpp)


def unlabeled(sources: Sequence[str] | None, force_mpp: bool) -> list[_Values] | None:
    """Return tissue without annotations, None without any."""
    return [_unlabeled(text, force_mpp) for text in sources or ()] or None


def scales(*given: list[_Values] | None) -> list[object]:
    """The scales of folders and tissue, None where one has none."""
    return [values.get("mpp") for sources in given for values in sources or ()]


def same_classes(pairs: Sequence[str] | None) -> dict[str, str] | None:
    """Return class of the model to class to learn.

    Raises:
        UserError: One is no OLD=NEW, or a class of the model is given two.
    """
    found: dict[str, str] = {}
    for old, new in map(_same_class, pairs or ()):
        if found.setdefault(old, new) != new:
            raise UserError(f"--same-class: {old} cannot mean both {found[old]} and {new}.")
    return found or None


def _folder(path: Path, mpp: float | None) -> _Values:
    if mpp is None:
        raise UserError("The scale of the images is missing; give it with --mpp.")
    return {"folder": path, "mpp": mpp}


def _train(text: str, mpp: float | None) -> _Values:
    folder, found, own = text.rpartition("=")
    if not found or Path(text).exists():
        return _folder(Path(text), mpp)
    try:
        return _folder(Path(folder), read_number(own))
    except UserError:
        raise UserError(f"--train takes DIR or DIR=MPP, got {text!r}.") from None


def _with_maps(own: list[_Values], paths: Sequence[Path]) -> list[_Values]:
    from muse_core.data.class_map import read_class_map

    maps = [read_class_map(path) for path in paths]
    if not maps:
        return own
    if len(maps) == 1:
        maps *= len(own)
    if not own or len(maps) != len(own):
        raise UserError("Give one --class-map for all --train folders, or one for each in turn.")
    return [
        {**folder, "class_map": m.classes, "exhaustive": m.exhaustive}
        for folder, m in zip(own, maps, strict=True)
    ]


def _detection_only(text: str) -> _Values:
    folder, _, mpp = text.rpartition("=")
    try:
        return {"folder": folder, "mpp": read_number(mpp), "classes_count": False}
    except UserError:
        raise UserError(f"--detection-only takes DIR=MPP, got {text!r}.") from None


def _unlabeled(text: str, force_mpp: bool) -> _Values:
    path, found, mpp = text.rpartition("=")
    if not found or Path(text).exists():
        return {"path": text}
    try:
        return {"path": path, "mpp": read_number(mpp), "force_mpp": force_mpp}
    except UserError:
        return {"path": text}


def _same_class(text: str) -> tuple[str, str]:
    old, found, new = text.partition("=")
    if not found or not old or not new:
        raise UserError(f"--same-class takes OLD=NEW, got {text!r}.")
    return old, new
