"""What undo may restore after a detection, and what it may not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from muse_core.nuclei import NucleusClass, nucleus_table
from muse_core.nuclei.store import AnnotationStore

from .helpers import new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    """Predictions 1 to 3 at (0, 0) to (2, 2)."""
    with new_store(tmp_path / "s.muse", n=3) as opened:
        yield opened


def _detect(store: AnnotationStore, gone: list[int], x: float, how: str = "done") -> None:
    store.begin_detection(gone, 0.7)
    store.insert(nucleus_table([x], [x], "a", model="m"))
    store.end_detection(how)


def _x(store: AnnotationStore) -> list[float]:
    return sorted(store.nuclei()["x"].tolist())


def test_a_removed_addition_does_not_come_back_onto_what_was_found(store: AnnotationStore) -> None:
    number = store.add(50, 50, "b")
    store.delete([number])
    _detect(store, [1, 2, 3], 50.25)
    undone = store.undo()
    assert undone is not None
    assert undone.left_out == 1
    assert _x(store) == [50.25]
    store.undo()
    assert _x(store) == [50.25]
    store.redo()
    store.redo()
    assert _x(store) == [50.25], "what was not taken back is not done again"


def test_a_moved_nucleus_does_not_go_back_to_where_one_was_found(store: AnnotationStore) -> None:
    store.move([1], [90], [90])
    _detect(store, [2, 3], 0.25)
    undone = store.undo()
    assert undone is not None
    assert undone.left_out == 1
    assert _x(store) == [0.25, 90]


def test_a_found_nucleus_does_not_go_back_to_where_a_cancelled_detection_gave_one_back(
    store: AnnotationStore,
) -> None:
    store.begin_detection([1, 2, 3], 0.7)
    (number,) = store.insert(nucleus_table([0.0], [0.0], "a", model="m"))
    store.move([number], [90], [90])
    store.end_detection("cancelled")
    assert _x(store) == [0, 1, 2, 90], "where nothing new is, the old ones are back"
    undone = store.undo()
    assert undone is not None
    assert undone.left_out == 1
    assert _x(store) == [0, 1, 2, 90]


def test_a_file_taken_back_returns_what_it_replaced_where_no_detection_was(
    store: AnnotationStore,
) -> None:
    store.set_uncertainty([1, 2], {"entropy": [0.25, 0.5]})
    new = store.take_over(nucleus_table([0.25, 1.25], [0.25, 1.25], "a"), replaced=[1, 2]).new_ids
    store.begin_detection(new[:1], 0.7)
    store.end_detection("done")
    undone = store.undo()
    assert undone is not None
    assert undone.label == "import of 2 nuclei"
    assert undone.left_out == 1
    assert store.nuclei()["id"].tolist() == [2, 3]
    assert store.rows([2])["entropy"].tolist() == [0.5], "how unsure the model was is kept"
    store.redo()
    assert _x(store) == [1.25, 2]


@pytest.mark.parametrize(("how", "after"), [("done", [2.0]), ("cancelled", [0, 1, 2])])
def test_a_file_taken_back_during_a_detection(
    store: AnnotationStore, how: str, after: list[float]
) -> None:
    new = store.take_over(nucleus_table([0.25, 1.25], [0.25, 1.25], "a"), replaced=[1, 2]).new_ids
    store.begin_detection(new, 0.7)
    store.undo()
    assert _x(store) == [2]
    store.end_detection(how)
    assert _x(store) == after


def test_an_edit_taken_back_reaches_what_waits_for_the_end_of_a_detection(
    store: AnnotationStore,
) -> None:
    store.add_class(NucleusClass("c", "#123456"))
    store.set_class([3], "c")
    store.change_class("c", NucleusClass("d", "#123456"))
    store.confirm([1])
    store.begin_detection([2], 0.7)
    store.undo()
    store.end_detection("cancelled")
    assert store.nuclei()["status"].tolist() == ["predicted", "predicted", "corrected"]


def test_a_failed_detection_ends_what_could_be_redone(store: AnnotationStore) -> None:
    store.begin_detection([1], 0.7)
    store.confirm([2])
    store.undo()
    store.end_detection("failed")
    assert store.redo() is None


def test_a_file_brings_its_classes_and_takes_them_with_it(store: AnnotationStore) -> None:
    before = store.classes
    plasma = NucleusClass("plasma", "#abcdef", "7")
    store.take_over(nucleus_table([9], [9], "plasma"), [plasma])
    assert store.count() == {"a": 3, "b": 0, "plasma": 1}
    store.undo()
    assert store.classes == before
    store.redo()
    store.insert(nucleus_table([19], [19], "plasma"))
    store.undo()
    assert store.count() == {"a": 3, "b": 0, "plasma": 1}, "a detection has come to use it"


def test_the_journal_says_when_detections_began_and_ended_to_others(store: AnnotationStore) -> None:
    before = store.revision
    store.begin_detection([1], 0.7)
    store.end_detection("done")
    assert store.revision != before, "another window that rests has to read anew"


def test_classes_that_change_places_are_one_edit(store: AnnotationStore) -> None:
    a, b = store.classes.classes
    store.change_classes(
        {"a": NucleusClass("a", a.color, b.key), "b": NucleusClass("b", b.color, a.key)}
    )
    assert [c.key for c in store.classes.classes] == [b.key, a.key]
    undone = store.undo()
    assert undone is not None
    assert undone.label == "change of classes a and b"
    assert store.classes.classes == (a, b)
    assert store.undo() is None
