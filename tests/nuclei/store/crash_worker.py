"""Edits a store as fast as possible and acknowledges each edit, until it is killed."""

from __future__ import annotations

import itertools
import sys

from muse_core.nuclei.store import AnnotationStore

with AnnotationStore.open(sys.argv[1]) as store:
    for k in itertools.count():
        number = store.add(float(k), 0.0, "a")
        if k % 3 == 0:
            store.set_class([number], "b")
        if k % 7 == 0:
            store.delete([number])
        # Acknowledged only after every edit of this round has returned.
        print(number, "b" if k % 3 == 0 else "a", "deleted" if k % 7 == 0 else "added", flush=True)
