"""AnnotationStore: the nuclei of one slide in one SQLite file, with every edit in a journal."""

from __future__ import annotations

from muse_core.nuclei.store.edits import Edit
from muse_core.nuclei.store.identity import SlideIdentity, identify_slide
from muse_core.nuclei.store.place import StorePlace
from muse_core.nuclei.store.rows import DOUBTS, NUCLEUS_ROW, NucleusRows
from muse_core.nuclei.store.store import AnnotationStore

__all__ = [
    "DOUBTS",
    "NUCLEUS_ROW",
    "AnnotationStore",
    "Edit",
    "NucleusRows",
    "SlideIdentity",
    "StorePlace",
    "identify_slide",
]
