"""Show and hide classes of nuclei, and the text on the number of nuclei."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from muse_core.nuclei.counted import counted_nuclei
from napari_muse.layers.rows_in_view import MAX_IN_VIEW


class HidesClasses(Protocol):
    """Shows the nuclei of all classes but some, as the layer of nuclei does."""

    hidden_classes: set[int]

    def refresh(self) -> None:
        """Update the display at once."""

    def request_refresh(self) -> None:
        """Update the display soon."""


def show_class(nuclei: HidesClasses, class_id: int, on: bool) -> None:
    """Show or hide the nuclei of a class."""
    if on:
        nuclei.hidden_classes.discard(class_id)
    else:
        nuclei.hidden_classes.add(class_id)
    nuclei.refresh()


def show_next_class(nuclei: HidesClasses, class_ids: Sequence[int]) -> None:
    """Show one class alone, then the next, and after the last all again."""
    shown = [number for number in class_ids if number not in nuclei.hidden_classes]
    if len(shown) == len(class_ids):
        wanted = 0
    else:
        wanted = class_ids.index(shown[0]) + 1 if len(shown) == 1 else 0
    alone = set(class_ids[wanted : wanted + 1])
    nuclei.hidden_classes = set(class_ids) - alone if alone else set()
    nuclei.refresh()


def show_all_classes(nuclei: HidesClasses) -> None:
    """Show all classes, where one is hidden."""
    if nuclei.hidden_classes:
        nuclei.hidden_classes.clear()
        nuclei.request_refresh()


def total_text(total: int, in_view: int) -> str:
    """Text on the number of nuclei, and of those in view if too many to be shown as points."""
    text = counted_nuclei(total)
    if in_view > MAX_IN_VIEW:
        text += f"; the images show how dense {in_view:,} are, zoom in to see each"
    return text
