"""Nuclei that are given more than once, or lie exactly where another one does."""

from __future__ import annotations

from dataclasses import replace

from muse_core.nuclei.counted import counted
from muse_core.nuclei.nucleus_file import NucleusFile
from muse_core.nuclei.table import Status

CONTRADICTED = (
    "nucleus lies exactly where one of another class does",
    "nuclei lie exactly where one of another class does",
)
"""What is said of one, and of several."""
_REPEATED = (
    "nucleus repeats another of its class and place, and was left out",
    "nuclei repeat others of their class and place, and were left out",
)
_PLACE = ["x", "y"]


def each_once(content: NucleusFile) -> NucleusFile:
    """Leave out nuclei that repeat an earlier one's position, class and status, and say so.

    Programs that write a row for each channel, and files that were joined, repeat them.

    Args:
        content: A file; ids of the nuclei that stay are unchanged.
    """
    table = content.table
    at_one_place = table.duplicated(_PLACE, keep=False)
    if not at_one_place.any():
        return content
    some = table[at_one_place]
    again = some.index[some.duplicated([*_PLACE, "class_name", "status"])]
    once = table.drop(index=again).reset_index(drop=True)
    alive = some.drop(index=again)
    n_contradicted = int(alive[alive["status"] != Status.DELETED.word].duplicated(_PLACE).sum())
    counts = ((len(again), _REPEATED), (n_contradicted, CONTRADICTED))
    notes = [f"{counted(n, *words)}." for n, words in counts if n]
    return replace(content, table=once, notes=(*content.notes, *notes))
