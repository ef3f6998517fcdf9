"""AnnotationStore: the nuclei of one slide in one SQLite file, with every edit in a journal."""

from __future__ import annotations

from muse_core.nuclei.store.edits import UNCERTAINTY, Edit
from muse_core.nuclei.store.identity import SlideIdentity, identify_slide
from muse_core.nuclei.store.locate import StorePlace
from muse_core.nuclei.store.rows import NUCLEUS_ROW, NucleusRows
from muse_core.nuclei.store.store import AnnotationStore

__all__ = [
    "NUCLEUS_ROW",
    "UNCERTAINTY",
    "AnnotationStore",
    "Edit",
    "NucleusRows",
    "SlideIdentity",
    "StorePlace",
    "identify_slide",
]
