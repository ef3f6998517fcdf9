"""How this process was started: on its own, or together with others, as torchrun does it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from muse_core.errors import UserError

_SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE")
_GROUP = ("RANK", "LOCAL_RANK", *_SIZES, "MASTER_ADDR", "MASTER_PORT")
"""What torchrun tells each process; scripts of clusters set all of it themselves."""


@dataclass(frozen=True)
class Launch:
    """The processes of a run.

    Attributes:
        rank: Number of this process, from 0.
        processes: How many there are.
        processes_here: How many of them are on this machine.
    """

    rank: int = 0
    processes: int = 1
    processes_here: int = 1


def launch() -> Launch:
    """Return how this process was started, by the environment.

    Raises:
        UserError: It names several processes, but not as torchrun does: this one would wait for
            others that nobody starts. Or a rank is no number, which the library for several
            processes does not bear.
    """
    values = os.environ
    for name in ("RANK", "LOCAL_RANK"):
        if not values.get(name, "0").isdecimal():
            raise UserError(f"The environment variable {name} is no number of a process; unset it.")
    sizes = [values.get(name, "") for name in _SIZES]
    if all(map(values.get, _GROUP)) and all(size.isdecimal() and int(size) for size in sizes):
        return Launch(int(values["RANK"]), *map(int, sizes))
    said = values.get("WORLD_SIZE", "").strip()
    if said not in ("", "1"):
        raise UserError(
            f"The environment variable WORLD_SIZE is {said}, but torchrun has not started this"
            " process; unset it, or start several processes with torchrun."
        )
    return Launch()
