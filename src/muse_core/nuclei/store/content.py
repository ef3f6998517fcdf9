"""The content of an annotation store as that of a file of nuclei."""

from __future__ import annotations

from pathlib import Path

from muse_core.nuclei.nucleus_file import WHOLE_SLIDE, NucleusFile
from muse_core.nuclei.regions import NamedRegion
from muse_core.nuclei.store.store import AnnotationStore

_DETECTING = (
    "A detection is running: what it has yet to find, and what it replaces, is not in the file."
)


def store_content(path: str | Path, with_deleted: bool = False) -> NucleusFile:
    """Read nuclei, classes and regions of a store, which is not changed.

    Args:
        path: The store; another process may write to it.
        with_deleted: Whether nuclei that a person has removed are included.

    Returns:
        Its content, without a scale, which stores do not have; a note where a detection is running.

    Raises:
        UserError: The file is missing or damaged, or no store.
    """
    with AnnotationStore.open(path, read_only=True) as store:
        return content_of_open(store, with_deleted)


def content_of_open(store: AnnotationStore, with_deleted: bool = False) -> NucleusFile:
    """Read the content of an open store, as :func:`store_content` does."""
    table, scheme = store.nuclei(with_deleted=with_deleted), store.classes
    regions, slide, detecting = store.regions(), store.slide.recorded, store.detecting
    outlines = tuple(
        NamedRegion(tuple((float(x), float(y)) for x, y in vertices), name, bool(reviewed))
        for _, name, vertices, reviewed in regions.itertuples(index=False, name=None)
    )
    notes = (_DETECTING,) if detecting else ()
    return NucleusFile(table, scheme, None, outlines, notes, WHOLE_SLIDE, slide)
