"""Entries of the review queue's choices: kinds of uncertainty, classes and regions."""

from __future__ import annotations

from muse_core.classify.queue import TEACHES, UNCERTAINTY_KINDS
from napari_muse.annotations.slide_annotations import SlideAnnotations

_NAMES = {
    "entropy": "Unsure among all",
    "margin": "Unsure between two",
    "disagreement": "Unlike its neighbours",
}
_TEACHES_MEANS = "With “Learn now” on: uncertain at present, and unlike those before it"
UNCERTAINTY_ENTRIES = (
    *((_NAMES[kind], kind, says[0].upper() + says[1:]) for kind, says in UNCERTAINTY_KINDS.items()),
    ("Teaches most", TEACHES, _TEACHES_MEANS),
)
"""Label, value and explanation of each kind of uncertainty."""


def class_entries(annotations: SlideAnnotations) -> list[tuple[str, int | None]]:
    """Return name and id of each class, after None for all of them."""
    return [
        ("All classes", None),
        *zip(annotations.scheme.names, annotations.class_ids, strict=True),
    ]


def region_entries(annotations: SlideAnnotations) -> list[tuple[str, int | None]]:
    """Return name and id of each region, after None for the whole slide."""
    regions = annotations.regions()
    named = zip(regions["name"], regions["id"], strict=True)
    return [("Whole slide", None), *((name or f"region {i}", int(i)) for name, i in named)]
