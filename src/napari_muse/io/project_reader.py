"""Files of MUSE itself, as napari reads them: a slide's annotations stand for the slide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from muse_core.errors import UserError
from muse_core.files import entries
from muse_core.models.registry import list_models, user_model_folder
from muse_core.nuclei.store import AnnotationStore, SlideIdentity, StorePlace, identify_slide
from muse_core.nuclei.store.projects import note_if_moved
from muse_core.slides import ImageChoice

_MOST_TRIED = 20


def slide_of_store(path: Path, shown: Iterable[Path]) -> tuple[Path, ImageChoice]:
    """Return the file and the image of it that a store has the nuclei of.

    Args:
        path: The store.
        shown: Slides that are open. The slide is recognised by its content, among these and what
            lies beside the store.

    Raises:
        UserError: The store cannot be read, its slide is not there, or has its nuclei elsewhere.
    """
    with AnnotationStore.open(path, read_only=True) as store:
        wanted = store.slide
    for candidate in (*shown, *_beside(path, wanted)):
        if _is_of(candidate, wanted):
            _require_used(path, candidate, wanted)
            return candidate, ImageChoice.of_part(wanted.part)
    raise UserError(
        f"{path.name} holds the nuclei of the slide {wanted.name}, which does not lie beside it;"
        " put both into one folder, or open the slide."
    )


def refuse_model(path: Path) -> NoReturn:
    """Raise UserError, which says how a model can be used."""
    how = "It can be chosen in the tab Detect."
    if not any(path.resolve() == entry.path.resolve() for entry in list_models()):
        how = (
            f"Copied to {user_model_folder()} it can be chosen in the tab Detect, from the next"
            " time that the panel is opened."
        )
    raise UserError(f"{path.name} is a model and no image. {how}")


def _beside(store: Path, wanted: SlideIdentity) -> Iterator[Path]:
    yield store.with_name(wanted.name)
    renamed = (p for p in entries(store.parent) if p.is_file())
    of_its_size = [p for p in renamed if p.stat().st_size == wanted.size_bytes]
    yield from of_its_size[:_MOST_TRIED]


def _require_used(store: Path, slide: Path, wanted: SlideIdentity) -> None:
    """Raise UserError if the slide is shown with the nuclei of another store.

    A project that was moved is used where it is now, unless it is where it was as well.
    """
    place = StorePlace.of(slide, wanted.part)
    note_if_moved(place.own_folder, place.identity, store)
    used = place.find()
    if used is None or not used.samefile(store):
        raise UserError(
            f"{store.name} is a copy: the nuclei of {slide.name} are in {used or place.own_folder}."
            " Put it in their place to go on with it."
        )


def _is_of(candidate: Path, wanted: SlideIdentity) -> bool:
    try:
        return identify_slide(candidate, wanted.part).same_content(wanted)
    except UserError:  # not there, or not to be read
        return False
