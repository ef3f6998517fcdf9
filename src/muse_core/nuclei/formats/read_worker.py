"""Reads one file of nuclei in a process of its own: ``python -m`` runs it."""

from __future__ import annotations

from typing import Any

from muse_core.isolation.child import serve
from muse_core.nuclei.formats.registry import read_nuclei_here
from muse_core.nuclei.formats.transfer import to_bytes


def read(task: dict[str, Any]) -> memoryview:
    """Read the file at "path"; returns it as :mod:`muse_core.nuclei.formats.transfer` writes it."""
    return to_bytes(read_nuclei_here(task["path"], task["outlines_are_nuclei"]))


if __name__ == "__main__":
    serve(read)
