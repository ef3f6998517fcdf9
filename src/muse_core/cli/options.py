"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from muse_core.cli.numbers import integer, number
from muse_core.errors import UserError

SLIDE_PANEL = "The slide"
"""Heading in the help for options on how a slide is read."""


class Device(StrEnum):
    """Device that the network runs on."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class Backend(StrEnum):
    """Library that computes the network."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Name or file of a model; the default one if left out."),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the network runs.")]
AnyDeviceOption = Annotated[Device | None, typer.Option("--device", help="Where the network runs.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="End with one line of JSON on standard output.")
]
ImageOption = Annotated[
    str | None,
    typer.Option(
        "--image",
        rich_help_panel=SLIDE_PANEL,
        metavar="N|all",
        help="Number of the image, if a file has several tissue images (see muse info); or all.",
    ),
]
PlaneOption = Annotated[
    int | None,
    typer.Option(
        "--plane",
        parser=integer,
        rich_help_panel=SLIDE_PANEL,
        help="Plane of a stack, from 1; the middle one if left out.",
    ),
]
ChannelsOption = Annotated[
    str | None,
    typer.Option(
        "--channels",
        rich_help_panel=SLIDE_PANEL,
        metavar="rgb|rgba|R,G,B[,A]",
        help="Take the first channels as red, green, blue (and alpha), whatever their names; or"
        " their numbers, from 1.",
    ),
]
MppOption = Annotated[
    float | None,
    typer.Option(
        "--mpp",
        parser=number,
        rich_help_panel=SLIDE_PANEL,
        help="Microns per pixel of the slide, if the file does not say; see --force-mpp.",
    ),
]
OtherSlideOption = Annotated[
    bool,
    typer.Option("--other-slide", help="Accept a file of nuclei that names another slide."),
]
ForceMppOption = Annotated[
    bool,
    typer.Option(
        "--force-mpp",
        rich_help_panel=SLIDE_PANEL,
        help="Use the given scale even if the file states another.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with settings, or the .json file of an earlier run."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting that overrides the file's, such as batch=4; repeatable.",
    ),
]


def require_scale_to_force(force_mpp: bool, *scales: object) -> None:
    """Refuse --force-mpp where it changes nothing, for want of a scale in place of the file's.

    Args:
        force_mpp: Whether the option is given.
        scales: All that are given, by whatever option or list; None for none.
    """
    if force_mpp and all(scale is None for scale in scales):
        raise UserError(
            "--force-mpp uses a given scale in place of the one that the file states; give it too,"
            " with --mpp."
        )
