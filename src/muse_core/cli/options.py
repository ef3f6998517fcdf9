"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Device(StrEnum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Name or file of a model; the default one if left out."),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the network runs.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="End with one line of JSON on standard output.")
]
