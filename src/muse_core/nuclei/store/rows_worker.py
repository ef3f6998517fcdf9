"""Reads nuclei of a store in a process of its own: ``python -m`` runs it."""

from __future__ import annotations

from typing import Any

import numpy as np

from muse_core.isolation.child import serve
from muse_core.nuclei.store.store import AnnotationStore


def read_rows(task: dict[str, Any]) -> memoryview:
    """Read nuclei of the store at "path", from the id "first" to the id "last", inclusive.

    Returns:
        Their :data:`NUCLEUS_ROW`, one after the other.
    """
    with AnnotationStore.open(task["path"], read_only=True) as store:
        return store.rows_between(task["first"], task["last"]).view(np.uint8).data


if __name__ == "__main__":
    serve(read_rows)
