from __future__ import annotations

from pathlib import Path

import numpy as np

from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import AnnotationStore, SlideIdentity

SLIDE = SlideIdentity("slide.svs", 123, "abc")


def new_store(path: Path, n: int = 0) -> AnnotationStore:
    """A store with n predicted nuclei of class a on a line, ids 1 to n."""
    store = AnnotationStore.create(path, SLIDE, ClassScheme.from_names(["a", "b"]), "tester")
    if n:
        x = np.arange(n, dtype=float)
        store.insert(nucleus_table(x, x, "a", score=0.5, model="m"))
    return store
