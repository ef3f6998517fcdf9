"""The user's choices before a detection: area, mapping of classes, scale."""

from __future__ import annotations

from collections.abc import Mapping

from muse_core.errors import UserError
from muse_core.models.card import DETECTOR
from muse_core.models.registry import ModelEntry, available_models, list_models
from muse_core.slides import PolygonRegion, Region, Slide
from muse_core.slides.scale import same_scale
from napari_muse.session import MuseSession

PLACES = (("Visible field", "field"), ("Drawn areas", "shapes"), ("Whole slide", "slide"))
"""Areas to search: label and value."""


def chosen_shapes(session: MuseSession, place: str) -> list[Region | PolygonRegion]:
    """Return the shapes to search for one of :data:`PLACES`; none means the whole slide.

    Raises:
        UserError: No slide is open, or none of it is in view, or nothing is drawn on it.
    """
    if place == "field":
        return [session.visible_region()]
    if place == "shapes":
        return list(session.drawn_polygons())
    session.require_slide()
    return []


def unknown_classes(
    session: MuseSession, entry: ModelEntry | None
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return a model's and the slide's classes if the slide lacks one of the model's; else None."""
    annotations = session.annotations
    if entry is None or annotations.pristine:
        return None
    theirs = tuple(str(c["name"]) for c in entry.card.classes)
    ours = annotations.scheme.names
    return (theirs, ours) if set(theirs) - set(ours) else None


def known_mapping(session: MuseSession, entry: ModelEntry | None) -> Mapping[str, str] | None:
    """Return the mapping of a model's classes to the slide's, if it is known; else None."""
    unknown = unknown_classes(session, entry)
    if entry is None or unknown is None:
        return {}
    theirs, ours = unknown
    said = session.class_maps.of_file(session.slide, str(entry.path))
    return said if set(theirs) <= set(said) and set(said.values()) <= set(ours) else None


def set_typed_scale(session: MuseSession, mpp: float) -> bool:
    """Give the slide a typed scale; return False if the file states another, to be asked.

    Raises:
        UserError: It is not a valid scale, no slide is open, or it cannot be used.
    """
    if not mpp:
        raise UserError("A slide whose scale is known cannot be without one again.")
    stated = session.require_slide().scale.stated_mpp
    if stated is not None and not same_scale(stated, mpp):
        return False
    session.set_mpp(mpp if stated is None else stated)
    return True


def force_scale(session: MuseSession, slide: Slide, mpp: float) -> None:
    """Give a slide a scale other than its file's, if it is still the current slide.

    Slides are compared by file, because changing the scale creates a new Slide object.

    Raises:
        UserError: The scale cannot be used.
    """
    if session.slide is not None and session.slide.path == slide.path:
        session.set_mpp(mpp)


def scale_question(slide: Slide, mpp: float) -> str:
    """Return the question for a typed scale that differs from the file's."""
    says = "file states" if slide.is_file else "layer's scale is"
    return (
        f"The {says} {slide.scale.stated_mpp:g} µm per pixel. What is found and counts per mm²"
        f" depend on it. Use {mpp:g} all the same?"
    )


def detectors() -> dict[str, ModelEntry]:
    """Return the detection models on this machine, by their path; without backbones."""
    return {str(entry.path): entry for entry in list_models() if entry.card.kind == DETECTOR}


def model_entries(models: Mapping[str, ModelEntry]) -> list[tuple[str, str | None, str]]:
    """Return name, path and description of each detector, then of backbones that can be fetched.

    Args:
        models: The detectors by their path, see :func:`detectors`; backbones have none.
    """
    cards = ((path, entry.card) for path, entry in models.items())
    hint = "A backbone to fine-tune from; get it with: muse models fetch"
    return [
        *((card.name, path, card.description or card.name) for path, card in cards),
        *((f"{m.name} (available)", None, f"{hint} {m.name}") for m in available_models()),
    ]


def score_tip(entry: ModelEntry) -> str:
    """Return the tool tip of the lowest score, with the model's own."""
    return (
        "Nuclei the model is less sure of than this are left out; "
        f"{entry.card.name} itself takes {entry.card.score_threshold:.2f}"
    )


def scale_hint(slide: Slide | None) -> str:
    """Return a hint for a slide whose scale is unknown; "" if it is known."""
    if slide is None or slide.mpp is not None:
        return ""
    why = f" ({slide.mpp_note})" if slide.mpp_note else ""
    return (
        f"This image does not say how large a pixel is{why}. Enter its microns per pixel: often"
        " 0.25 for a 40x scan and 0.5 for 20x, but look it up, for sizes and counts depend on it."
    )
