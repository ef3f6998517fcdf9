"""Sentences about a slide that may not be the one that is shown any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_muse.annotations.slide_annotations import SlideAnnotations
    from napari_muse.session import MuseSession


def with_slide(session: MuseSession, annotations: SlideAnnotations, sentence: str) -> str:
    """Return a sentence on a slide, with the slide's name first if another one is shown by now."""
    if annotations is session.annotations:
        return sentence
    slide = annotations.recorded_slide
    return f"{slide.name if slide else 'The image before'}: {sentence}"
