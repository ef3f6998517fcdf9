"""AnnotationStore: the nuclei of one slide in one SQLite file, with every edit in a journal.

What a classifier says of many nuclei is kept beside their rows, and one revision of it is live:

- ``store.rows()`` gives what it is taught from, (N,) with ``id``, ``class_id``, ``status`` (a
  :class:`~muse_core.nuclei.Status`) and ``probability``; those whose status is not PREDICTED are a
  person's.
- ``store.class_ids`` gives the ids of classes by name, in order.
- ``store.apply_predictions(ids, class_ids, probabilities, model=...)`` shows nuclei with the
  classes a classifier gives them: one edit, one entry of the journal, of any number of nuclei in
  any order. Others stay as they are shown, and what a person has said of a nucleus stands, before
  and after. Nuclei of reviewed regions count as confirmed: leave them out.
- The :class:`Edit` that is returned says what is shown now: ``edit.relabelled``.
- ``store.predictions`` is what is live, ``store.drop_predictions()`` shows the detected classes
  again; ``undo`` and ``redo`` go from one to the next, over restarts.
- Everything that reads a store (tables, counts, exports, other processes) gives the live classes.

In a window all this goes through ``SlideAnnotations``, which has the same two methods.
"""

from __future__ import annotations

from muse_core.nuclei.store.edits import Edit, NucleusChanges
from muse_core.nuclei.store.identity import SlideIdentity, identify_slide
from muse_core.nuclei.store.locate import StorePlace
from muse_core.nuclei.store.predictions import Predictions
from muse_core.nuclei.store.rows import NUCLEUS_ROW, UNCERTAINTY, NucleusRows
from muse_core.nuclei.store.store import AnnotationStore
from muse_core.nuclei.store.unchanged import SlideChangedError, unchanged

__all__ = [
    "NUCLEUS_ROW",
    "UNCERTAINTY",
    "AnnotationStore",
    "Edit",
    "NucleusChanges",
    "NucleusRows",
    "Predictions",
    "SlideChangedError",
    "SlideIdentity",
    "StorePlace",
    "identify_slide",
    "unchanged",
]
