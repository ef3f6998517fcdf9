"""Annotations of a slide with three nuclei of two classes."""

from __future__ import annotations

from pathlib import Path

from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import StorePlace
from napari_muse.annotations.slide_annotations import SlideAnnotations


def three_nuclei(folder: Path) -> SlideAnnotations:
    """Return them, of a slide in this folder."""
    slide = folder / "slide.png"
    slide.write_bytes(b"pixels")
    annotations = SlideAnnotations(ClassScheme.from_names(["a", "b"]), StorePlace(slide))
    annotations.append([10, 20, 30], [1, 2, 3], [1, 1, 2], [0.9, 0.8, 0.7], "m", 6.0)
    return annotations
