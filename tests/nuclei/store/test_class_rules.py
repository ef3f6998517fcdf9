"""Undo reaches back past detections and files, but never removes a class that nuclei have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.nuclei import NucleusClass, nucleus_table
from muse_core.nuclei.store import AnnotationStore

from .helpers import new_store

PLASMA = NucleusClass("plasma", "#abcdef", "7")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    with new_store(tmp_path / "s.muse", n=2) as opened:
        yield opened


def _refused(store: AnnotationStore, act: Callable[[], object]) -> str:
    before = store.nuclei(), store.classes
    with pytest.raises(UserError, match=r"\.$") as refusal:
        act()
    assert store.nuclei().equals(before[0])
    assert store.classes == before[1]
    return str(refusal.value)


def test_a_class_stays_with_nuclei_of_a_file_and_older_edits_can_be_undone(
    store: AnnotationStore,
) -> None:
    store.set_class([1], "b")
    store.add_class(PLASMA)
    store.insert(nucleus_table([9], [9], "plasma"))
    store.undo()
    assert store.count() == {"a": 1, "b": 1, "plasma": 1}
    store.undo()
    assert store.count() == {"a": 2, "b": 0, "plasma": 1}
    store.redo()
    store.redo()
    assert store.count() == {"a": 1, "b": 1, "plasma": 1}
    assert store.classes.classes[-1] == PLASMA


def test_nuclei_that_come_end_what_could_be_redone(store: AnnotationStore) -> None:
    store.set_class([1], "b")
    store.merge_classes("b", "a")
    store.undo()
    store.insert(nucleus_table([9], [9], "b"))
    assert store.redo() is None
    assert store.count() == {"a": 1, "b": 2}


def test_a_class_that_came_again_stands_for_the_one_that_was_dropped(
    store: AnnotationStore,
) -> None:
    store.set_class([1], "b")
    store.merge_classes("b", "a")
    store.extend_classes([NucleusClass("b", "#123456", "2")])
    store.insert(nucleus_table([9], [9], "b"))
    store.undo()
    assert store.count() == {"a": 1, "b": 2}
    # Older edits, which name the first, now refer to the second.
    store.undo()
    assert store.count() == {"a": 2, "b": 1}
    store.redo()
    assert store.count() == {"a": 1, "b": 2}
    store.redo()
    assert store.count() == {"a": 2, "b": 1}
    for _ in range(2):
        store.undo()
    assert store.count() == {"a": 2, "b": 1}
    assert store.rows()["class_id"].tolist() == [1, 1, 3]


def test_a_name_and_a_key_that_are_taken_by_now_do_not_come_back(store: AnnotationStore) -> None:
    store.change_class("b", NucleusClass("plasma", "#abcdef", "7"))
    store.extend_classes([NucleusClass("b", "#123456", "2")])
    store.insert(nucleus_table([9], [9], "b"))
    before = store.classes.classes[1]
    assert before.name == "plasma"
    store.undo()
    assert store.classes.names == ("a", "plasma", "b")
    assert store.classes.classes[1].key == ""
    assert store.classes.classes[1].color != "#abcdef", "what can be taken back is"
    store.redo()
    assert [c.name for c in store.classes.classes] == ["a", "plasma", "b"]


def test_no_class_goes_while_a_detection_runs(store: AnnotationStore) -> None:
    store.add_class(PLASMA)
    store.begin_detection([1], 0.5)
    assert "detection is running" in _refused(store, store.undo)
    assert "detection is running" in _refused(store, lambda: store.merge_classes("a", "b"))
    store.add_class(NucleusClass("mitosis", "#123456", ""))
    store.end_detection("cancelled")
    store.merge_classes("a", "b")
    assert store.count()["b"] == 2
