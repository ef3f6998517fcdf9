from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.nuclei import ClassScheme, nucleus_table
from napari_muse.book import NucleusBook


@pytest.fixture
def book() -> NucleusBook:
    return _book()


def _book() -> NucleusBook:
    book = NucleusBook(ClassScheme.from_names(["a", "b"]))
    book.append([10, 20, 30], [1, 2, 3], [0, 0, 1], [0.9, 0.8, 0.7], "m", 6.0)
    return book


def test_edits_set_status_and_counts(book: NucleusBook) -> None:
    book.set_class([1], 1)
    book.set_class([2], 0)
    book.delete([3])
    new = book.add(5, 6, 1)
    table = book.to_table().set_index("id")
    assert table["status"].to_dict() == {1: "corrected", 2: "confirmed", new: "added"}
    assert table.loc[new, ["x", "y", "class_name"]].tolist() == [5, 6, "b"]
    assert table.loc[1, "model"] == "m"
    assert book.counts().tolist() == [1, 2]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=15))
def test_undoing_all_goes_back_and_redoing_all_comes_forth(
    actions: list[tuple[int, int]],
) -> None:
    book = _book()
    start = book.to_table()
    for action, k in actions:
        ids = book.rows["id"][book.present]
        chosen = ids[k % len(ids) : k % len(ids) + 1] if len(ids) else ids
        if action == 0:
            book.add(k, k, 0)
        elif action == 1:
            book.set_class(chosen, k % 2)
        elif action == 2:
            book.delete(chosen)
        elif action == 3:
            book.confirm(chosen)
        else:
            book.move(chosen, [k], [k])
    end = book.to_table()
    while book.undo():
        pass
    assert book.to_table().equals(start)
    while book.redo():
        pass
    assert book.to_table().equals(end)


def test_detections_on_top_of_a_persons_nuclei_are_dropped(book: NucleusBook) -> None:
    book.confirm([1])
    book.delete([2])
    taken = book.append([12, 22, 60], [1, 2, 6], [0, 0, 0], [0.9, 0.9, 0.9], "n", 6.0)
    assert taken == 1
    assert book.to_table()["x"].tolist() == [10, 30, 60]


def test_an_addition_taken_back_does_not_bar_a_detection(book: NucleusBook) -> None:
    book.add(60, 60, 0)
    book.undo()
    assert book.append([60], [60], [0], [0.9], "n", 6.0) == 1


def test_rows_taken_out_come_back_in_order(book: NucleusBook) -> None:
    before = book.to_table()
    gone = book.take_out(np.array([True, False, True]))
    assert book.to_table()["id"].tolist() == [2]
    book.put_back(gone)
    assert book.to_table().equals(before)


def test_undo_reaches_nuclei_that_a_detection_replaced(book: NucleusBook) -> None:
    book.set_class([1], 1)
    book.undo()
    book.take_out(np.ones(3, dtype=bool))
    assert book.redo()
    assert book.to_table()["status"].tolist() == ["corrected"]


def test_other_classes_are_joined_not_mixed_up(book: NucleusBook) -> None:
    lookup = book.adopt_scheme(ClassScheme.from_names(["c", "b"]))
    assert book.scheme.names == ("a", "b", "c")
    assert lookup.tolist() == [2, 1]


def test_a_file_keeps_class_and_status(book: NucleusBook) -> None:
    book.load(nucleus_table([1, 2], [3, 4], ["x", "a"], status=["confirmed", "predicted"]))
    table = book.to_table()
    assert table["class_name"].tolist()[3:] == ["x", "a"]
    assert table["status"].tolist()[3:] == ["confirmed", "predicted"]
