"""Reads all nuclei of a store in a process of its own: ``python -m`` runs it."""

from __future__ import annotations

from typing import Any

from muse_core.isolation.child import serve
from muse_core.nuclei.store.store import AnnotationStore


def read_rows(task: dict[str, Any]) -> bytes:
    """Read the store at "path"; returns its :data:`NUCLEUS_ROW` one after the other."""
    with AnnotationStore.open(task["path"], read_only=True) as store:
        return store.rows().tobytes()


if __name__ == "__main__":
    serve(read_rows)
