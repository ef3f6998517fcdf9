from __future__ import annotations

import pytest

from napari_muse.layers.rows_in_view import MAX_IN_VIEW
from napari_muse.layers.shown_classes import (
    show_all_classes,
    show_class,
    show_next_class,
    total_text,
)

IDS = (4, 2, 9)


class Nuclei:
    """The hidden classes, and the number of redraws."""

    def __init__(self, *hidden: int) -> None:
        self.hidden_classes = set(hidden)
        self.drawn = 0

    def refresh(self) -> None:
        self.drawn += 1

    def request_refresh(self) -> None:
        self.drawn += 1


def test_a_class_is_hidden_and_shown_again() -> None:
    nuclei = Nuclei()
    show_class(nuclei, 2, False)
    assert nuclei.hidden_classes == {2}
    show_class(nuclei, 2, True)
    assert (nuclei.hidden_classes, nuclei.drawn) == (set(), 2)


@pytest.mark.parametrize("hidden", [(), (4, 2, 9), (9,)], ids=["none", "all", "one"])
def test_each_class_in_turn_is_alone_and_then_all_are_there(hidden: tuple[int, ...]) -> None:
    nuclei, seen = Nuclei(*hidden), []
    for _ in range(4):
        show_next_class(nuclei, IDS)
        seen.append(nuclei.hidden_classes)
    assert seen == [{2, 9}, {4, 9}, {4, 2}, set()]
    assert nuclei.drawn == 4, "once for each key"


def test_the_only_class_there_is_stays() -> None:
    nuclei = Nuclei()
    show_next_class(nuclei, (5,))
    assert nuclei.hidden_classes == set()


def test_classes_that_are_all_shown_are_left_alone() -> None:
    nuclei = Nuclei()
    show_all_classes(nuclei)
    assert nuclei.drawn == 0
    nuclei.hidden_classes.add(2)
    show_all_classes(nuclei)
    assert (nuclei.hidden_classes, nuclei.drawn) == (set(), 1)


def test_it_is_said_why_nuclei_are_no_points() -> None:
    assert total_text(1234567, MAX_IN_VIEW) == "1,234,567 nuclei"
    assert total_text(1, 1) == "1 nucleus"
    assert "zoom in" in total_text(1234567, MAX_IN_VIEW + 1)
