from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NamedRegion, NucleusClass, NucleusFile, nucleus_table
from muse_core.nuclei.store import StorePlace
from napari_muse.book import NucleusBook


@pytest.fixture
def book(tmp_path: Path) -> NucleusBook:
    return _book(tmp_path)


def _book(folder: Path) -> NucleusBook:
    slide = folder / "slide.png"
    slide.write_bytes(b"pixels")
    book = NucleusBook(ClassScheme.from_names(["a", "b"]), StorePlace(slide))
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


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=15))
def test_undoing_all_goes_back_and_redoing_all_comes_forth(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[int, int]]
) -> None:
    book = _book(tmp_path_factory.mktemp("book"))
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


def test_a_cancelled_detection_brings_back_what_it_replaced(book: NucleusBook) -> None:
    before = book.to_table()
    book.begin_detection(np.array([True, False, True]), 1.0)
    assert book.to_table()["id"].tolist() == [2]
    book.end_detection("cancelled")
    assert book.to_table().equals(before)


def test_redo_brings_no_nucleus_back_that_a_detection_replaced(book: NucleusBook) -> None:
    book.set_class([1], 1)
    book.undo()
    book.begin_detection(np.ones(3, dtype=bool), 1.0)
    book.append([10], [1], [0], [0.9], "n", 6.0)
    book.end_detection("done")
    assert book.redo() is None
    assert book.to_table()["x"].tolist() == [10]


def test_other_classes_are_joined_not_mixed_up(book: NucleusBook) -> None:
    lookup = book.adopt_scheme(ClassScheme.from_names(["c", "b"]))
    assert book.scheme.names == ("a", "b", "c")
    assert lookup.tolist() == [2, 1]


def test_a_file_keeps_class_and_status(book: NucleusBook) -> None:
    table = nucleus_table([1, 2], [3, 4], ["x", "a"], status=["confirmed", "predicted"])
    corners = ((0.0, 0.0), (9.0, 0.0), (0.0, 9.0))
    content = NucleusFile(table, regions=(NamedRegion(corners, "field", True),))
    book.load(content)
    book.load(content)
    assert book.regions()[["name", "reviewed"]].values.tolist() == [["field", True]]
    table = book.to_table()
    assert len(table) == 5
    assert table["class_name"].tolist()[3:] == ["x", "a"]
    assert table["status"].tolist()[3:] == ["confirmed", "predicted"]


def test_all_is_there_after_a_restart_and_can_be_undone(tmp_path: Path) -> None:
    first = _book(tmp_path)
    first.set_class([1], 1)
    first.add(5, 6, 1)
    before = first.to_table()
    first.rest()
    second = NucleusBook(ClassScheme.from_names(["other"]), StorePlace(tmp_path / "slide.png"))
    assert second.to_table().equals(before)
    assert second.scheme.names == ("a", "b")
    assert second.undo() == "add b"
    assert second.undo() == "1 nucleus to b"
    assert second.undo() is None


def test_a_book_at_rest_goes_on_and_sees_what_others_did(tmp_path: Path) -> None:
    first = _book(tmp_path)
    first.rest()
    second = NucleusBook(first.scheme, StorePlace(tmp_path / "slide.png"))
    second.delete([1])
    second.rest()
    first.confirm([2])
    assert first.to_table()["status"].tolist() == ["confirmed", "predicted"]


def test_the_second_to_open_can_look_and_not_edit(tmp_path: Path) -> None:
    first = _book(tmp_path)
    second = NucleusBook(first.scheme, StorePlace(tmp_path / "slide.png"))
    assert second.read_only
    assert len(second.to_table()) == 3
    with pytest.raises(UserError, match="open in another window"):
        second.delete([1])
    assert len(second.to_table()) == 3


def test_looking_leaves_no_file(tmp_path: Path) -> None:
    slide = tmp_path / "slide.png"
    slide.write_bytes(b"pixels")
    book = NucleusBook(ClassScheme.from_names(["a"]), StorePlace(slide))
    assert book.to_table().empty
    assert book.undo() is None
    assert [p.name for p in tmp_path.iterdir()] == ["slide.png"]


def test_without_a_slide_nothing_can_be_added() -> None:
    with pytest.raises(UserError, match="Open a slide first"):
        NucleusBook(ClassScheme.from_names(["a"])).add(1, 1, 0)


def test_regions_and_classes_are_undone_like_nuclei(book: NucleusBook) -> None:
    book.add_region([(0, 0), (9, 0), (0, 9)], reviewed=True, name="field")
    book.edit_classes(lambda store: store.merge_classes("b", "a"))
    assert book.counts().tolist() == [3]
    assert book.undo() == "merge b into a"
    assert book.counts().tolist() == [2, 1]
    assert len(book.regions()) == 1
    assert book.undo() == "add region"
    assert book.regions().empty


def test_a_file_brings_its_classes_to_a_slide_that_has_none(tmp_path: Path) -> None:
    (tmp_path / "slide.png").write_bytes(b"pixels")
    book = NucleusBook(ClassScheme.from_names(["x", "y"]), StorePlace(tmp_path / "slide.png"))
    theirs = ClassScheme(
        (NucleusClass("Tumor cell", "#ff00ff", "5"), NucleusClass("Immune", "#00ffff", "6"))
    )
    book.load(NucleusFile(nucleus_table([1], [1], "Immune"), theirs))
    assert book.scheme == theirs
    more = ClassScheme((NucleusClass("mitosis", "#ffff00", "9"),))
    book.load(NucleusFile(nucleus_table([9], [9], "mitosis"), more))
    assert book.scheme.classes == (*theirs.classes, *more.classes)
    assert book.counts().tolist() == [0, 1, 1]
    book.rest()


def test_a_file_that_is_refused_leaves_no_store(tmp_path: Path) -> None:
    (tmp_path / "slide.png").write_bytes(b"pixels")
    book = NucleusBook(ClassScheme.from_names(["x"]), StorePlace(tmp_path / "slide.png"))
    many = tuple(NamedRegion(((0, 0), (1, 0), (0, 1))) for _ in range(1001))
    with pytest.raises(UserError, match="annotations"):
        book.load(NucleusFile(nucleus_table([], [], []), regions=many))
    assert not book.has_file


def test_a_file_that_cannot_be_kept_leaves_the_classes(tmp_path: Path) -> None:
    classes = ClassScheme.from_names(["x"])
    file = NucleusFile(nucleus_table([1], [1], "Tumor"))
    (tmp_path / "slide.png").write_bytes(b"pixels")
    (tmp_path / "annotations").write_bytes(b"a file where a folder should be")
    for place in (None, StorePlace(tmp_path / "slide.png", tmp_path / "annotations")):
        book = NucleusBook(classes, place)
        with pytest.raises(UserError):
            book.load(file)
        assert book.scheme == classes
        assert book.pristine
