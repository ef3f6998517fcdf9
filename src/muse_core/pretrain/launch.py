"""How this process was started: on its own, or together with others, as torchrun does it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from muse_core.errors import UserError

_SIZES = ("WORLD_SIZE", "LOCAL_WORLD_SIZE")
_ABOVE_0 = (*_SIZES, "MASTER_PORT")
_GROUP = ("RANK", "LOCAL_RANK", "MASTER_ADDR", *_ABOVE_0)
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
            others that nobody starts. Or a rank is no number, or the numbers contradict each
            other, which the library for several processes does not bear.
    """
    values = os.environ
    for name in ("RANK", "LOCAL_RANK"):
        if not values.get(name, "0").isdecimal():
            raise UserError(f"The environment variable {name} is no number of a process; unset it.")
    is_group = all(map(values.get, _GROUP))
    if is_group and all(values[name].isdecimal() and int(values[name]) for name in _ABOVE_0):
        sizes = (int(values[name]) for name in _SIZES)
        return _checked(int(values["LOCAL_RANK"]), Launch(int(values["RANK"]), *sizes))
    said = values.get("WORLD_SIZE", "").strip()
    if said not in ("", "1"):
        raise UserError(
            f"The environment variable WORLD_SIZE is {said}, but torchrun has not started this"
            " process; unset it, or start several processes with torchrun."
        )
    return Launch()


def _checked(rank_here: int, started: Launch) -> Launch:
    uneven = started.processes % started.processes_here
    if uneven or started.rank >= started.processes or rank_here >= started.processes_here:
        raise UserError(
            "The environment variables RANK, LOCAL_RANK, WORLD_SIZE and LOCAL_WORLD_SIZE contradict"
            " each other; start as many processes on each machine, with torchrun."
        )
    return started
