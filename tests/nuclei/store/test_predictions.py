"""Predictions of a classifier: they override the classes of rows, one edit each time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import NucleusClass, nucleus_table
from muse_core.nuclei.store import AnnotationStore

from .helpers import new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    """Predictions 1 to 5 of class a; there is also a class b."""
    with new_store(tmp_path / "s.muse", n=5) as opened:
        yield opened


def _names(store: AnnotationStore) -> dict[int, str]:
    table = store.nuclei(with_deleted=True)
    return dict(zip(table["id"].tolist(), table["class_name"].tolist(), strict=True))


def _apply(store: AnnotationStore, name: str, ids: list[int]) -> None:
    number = store.class_ids[name]
    store.apply_predictions(ids, [number] * len(ids), [0.75] * len(ids), model="learnt")


def test_every_reading_gives_the_live_classes(store: AnnotationStore) -> None:
    a, b = store.class_ids["a"], store.class_ids["b"]
    edit = store.apply_predictions([5, 2, 3], [a, b, b], [0.5, 0.9, 0.8], model="learnt")
    assert edit.label == "relearning of 3 nuclei"
    assert _names(store) == {1: "a", 2: "b", 3: "b", 4: "a", 5: "a"}
    assert store.count() == {"a": 3, "b": 2}
    assert store.nuclei((0.5, 0.5, 2.5, 2.5))["class_name"].tolist() == ["b", "b"]
    rows = store.rows([1, 2, 5])
    assert rows["class_id"].tolist() == [a, b, a]
    np.testing.assert_allclose(rows["probability"], [np.nan, 0.9, 0.5], atol=1e-3)
    live = store.predictions
    assert live is not None
    assert live.model == "learnt"
    assert live.ids.tolist() == [2, 3, 5]
    assert set(store.nuclei()["model"]) == {"m"}, "who found the nucleus has not changed"
    assert set(store.nuclei()["score"]) == {0.5}


def test_what_a_person_said_stands(store: AnnotationStore) -> None:
    store.set_class([1], "a")
    store.confirm([2])
    store.delete([3])
    number = store.add(9, 9, "a")
    _apply(store, "b", [1, 2, 3, 4, number])
    assert _names(store) == {1: "a", 2: "a", 3: "a", 4: "b", 5: "a", number: "a"}


def test_a_person_judges_the_class_that_is_shown(store: AnnotationStore) -> None:
    _apply(store, "b", [1, 2, 3, 4, 5])
    store.confirm([1])
    store.set_class([2], "b")
    store.set_class([3], "a")
    store.delete([4])
    store.move([5], [50], [60])
    after = store.nuclei(with_deleted=True)
    assert after["class_name"].tolist() == ["b", "b", "a", "b", "b"]
    expected = ["confirmed", "confirmed", "corrected", "deleted", "corrected"]
    assert after["status"].tolist() == expected
    store.drop_predictions()
    assert store.nuclei(with_deleted=True).equals(after), "all are a person's by now"
    for _ in range(6):
        store.undo()
    assert set(_names(store).values()) == {"b"}
    store.undo()
    assert set(_names(store).values()) == {"a"}
    for _ in range(7):
        assert store.redo() is not None
    assert store.nuclei(with_deleted=True).equals(after)


def test_undo_and_redo_reach_over_restarts(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    with new_store(path, n=5) as store:
        _apply(store, "b", [1, 2])
        _apply(store, "b", [2, 3, 4])
    expected = [{1, 2, 3, 4}, {1, 2}, set(), {1, 2}, {1, 2, 3, 4}]
    for step, ids in enumerate(expected):
        with AnnotationStore.open(path) as store:
            assert {i for i, name in _names(store).items() if name == "b"} == ids
            if step < 2:
                assert store.undo() is not None
            elif step < 4:
                assert store.redo() is not None


def test_predictions_can_be_dropped_as_an_edit(store: AnnotationStore) -> None:
    assert not store.drop_predictions()
    _apply(store, "b", [1])
    edit = store.drop_predictions()
    assert edit.label == "return to the classes that were detected"
    assert store.predictions is None
    assert _names(store)[1] == "a"
    store.undo()
    assert _names(store)[1] == "b"


def test_classes_merge_in_predictions_too(store: AnnotationStore) -> None:
    _apply(store, "b", [1, 2])
    store.merge_classes("b", "a")
    assert set(_names(store).values()) == {"a"}
    assert store.count() == {"a": 5}
    store.undo()
    assert store.count() == {"a": 3, "b": 2}
    store.redo()
    store.add_class(NucleusClass("b", "#123456"))
    store.undo()
    store.undo()
    assert store.count() == {"a": 3, "b": 2}


def test_a_class_that_comes_again_under_its_name_is_what_predictions_mean(
    store: AnnotationStore,
) -> None:
    _apply(store, "b", [1, 2])
    store.merge_classes("b", "a")
    store.extend_classes([NucleusClass("b", "#123456")])
    store.insert(nucleus_table([90], [90], "b", model="m"))
    store.undo()
    assert store.count() == {"a": 3, "b": 3}


def test_a_detection_brings_its_own_classes(store: AnnotationStore) -> None:
    _apply(store, "b", [1, 2, 3])
    store.begin_detection([1, 2], 0.7)
    store.insert(nucleus_table([0], [0], "a", model="m"))
    store.end_detection("done")
    assert _names(store) == {3: "b", 4: "a", 5: "a", 6: "a"}
    assert store.undo() is not None
    assert set(_names(store).values()) == {"a"}
    _apply(store, "b", [1, 3])
    store.begin_detection([3], 0.7)
    store.end_detection("cancelled")
    assert _names(store)[3] == "b"


def test_a_class_of_predictions_does_not_go(store: AnnotationStore) -> None:
    store.add_class(NucleusClass("c", "#123456"))
    _apply(store, "c", [1, 2])
    store.take_over(nucleus_table([], [], []), [NucleusClass("d", "#654321")], instead=True)
    assert store.classes.names == ("a", "c", "d")
    assert _names(store)[1] == "c"


def test_arrays_that_nothing_leads_to_any_more_are_dropped(store: AnnotationStore) -> None:
    def arrays() -> int:
        with sqlite3.connect(store.path) as connection:
            return int(connection.execute("SELECT count(*) FROM prediction_arrays").fetchone()[0])

    _apply(store, "b", [1, 2, 3])
    first = arrays()
    assert first == 3
    store.apply_predictions([1, 2, 3], [1, 2, 2], [0.5, 0.25, 0.75])
    assert arrays() == first + 2, "ids are shared"
    store.undo()
    _apply(store, "b", [1, 2, 3])
    assert arrays() == first, "what could be redone is gone, and alike arrays are kept once"
    store.undo()
    store.undo()
    assert set(_names(store).values()) == {"a"}


def test_many_classes(tmp_path: Path) -> None:
    with new_store(tmp_path / "s.muse", n=300) as store:
        store.extend_classes([NucleusClass(f"c{i}", "#123456") for i in range(298)])
        numbers = list(store.class_ids.values())
        store.apply_predictions(np.arange(1, 301), numbers, np.linspace(0, 1, 300))
        assert store.rows()["class_id"].tolist() == numbers


@pytest.mark.parametrize(
    ("ids", "classes", "chances", "why"),
    [
        ([1, 2], [1], [0.5, 0.5], "one class and one probability"),
        ([[1, 2]], [[1, 1]], [[0.5, 0.5]], "one class and one probability"),
        ([1, 1], [1, 1], [0.5, 0.5], "each nucleus once"),
        ([2, 1, 2], [1, 1, 1], [0.5, 0.5, 0.5], "each nucleus once"),
        ([-1], [1], [0.5], "each nucleus once"),
        ([1], [9], [0.5], "not all the classes"),
        ([1], [1], [1.5], "between 0 and 1"),
        ([1], [1], [np.nan], "between 0 and 1"),
        ([1.5], [1], [0.5], "by their ids"),
        ([1], ["a"], [0.5], "by their ids"),
    ],
)
def test_odd_predictions_get_a_sentence_and_change_nothing(
    store: AnnotationStore, ids: object, classes: object, chances: object, why: str
) -> None:
    with pytest.raises(UserError, match=why):
        store.apply_predictions(ids, classes, chances)  # type: ignore[arg-type]
    assert store.predictions is None
    assert store.undo() is None


def test_no_nuclei_are_no_trouble(store: AnnotationStore) -> None:
    store.apply_predictions([], [], [])
    assert store.count() == {"a": 5, "b": 0}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE prediction_arrays SET data = x'00'",
        "UPDATE prediction_arrays SET data = x'789c0300000000'",
        "UPDATE predictions SET count = 7",
        "UPDATE predictions SET count = -1",
        "UPDATE predictions SET count = 1 << 60",
        "UPDATE predictions SET classes = '[]'",
        "UPDATE predictions SET classes = '[[[['",
        "UPDATE predictions SET nuclei = class_index",
        "UPDATE live_predictions SET revision = 9",
        "DELETE FROM prediction_arrays",
    ],
)
def test_damaged_predictions_get_a_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "s.muse"
    with new_store(path, n=5) as store:
        _apply(store, "b", [1, 2, 3, 4, 5])
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    with AnnotationStore.open(path) as store, pytest.raises(UserError, match="damaged"):
        store.rows()
