from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, NamedRegion, NucleusClass, NucleusFile, nucleus_table
from muse_core.nuclei.store import StorePlace
from napari_muse.annotations.slide_annotations import SlideAnnotations

from .three_nuclei import three_nuclei


@pytest.fixture(name="annotations")
def _annotations(tmp_path: Path) -> SlideAnnotations:
    return three_nuclei(tmp_path)


def test_a_store_that_lost_its_classes_gets_those_that_are_known(tmp_path: Path) -> None:
    slide = tmp_path / "slide.png"
    slide.write_bytes(b"pixels")
    known = ClassScheme.from_names(["a", "b"])
    with StorePlace(slide).create(known) as store:
        store.add_region([(0, 0), (9, 0), (9, 9)], True, "r")
        path = store.path
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM classes")
    opened = SlideAnnotations(known, StorePlace(slide))
    assert opened.scheme == known
    opened.add(5, 6, opened.class_ids[1])
    assert opened.to_table()["class_name"].tolist() == ["b"]
    assert opened.regions()["name"].tolist() == ["r"]


def test_edits_set_status_and_counts(annotations: SlideAnnotations) -> None:
    annotations.set_class([1], 2)
    annotations.set_class([2], 1)
    annotations.delete([3])
    new = annotations.add(5, 6, 2)
    table = annotations.to_table().set_index("id")
    assert table["status"].to_dict() == {1: "corrected", 2: "confirmed", new: "added"}
    assert table.loc[new, ["x", "y", "class_name"]].tolist() == [5, 6, "b"]
    assert table.loc[1, "model"] == "m"
    assert annotations.counts().tolist() == [1, 2]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=15))
def test_undoing_all_goes_back_and_redoing_all_comes_forth(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[int, int]]
) -> None:
    annotations = three_nuclei(tmp_path_factory.mktemp("annotations"))
    start = annotations.to_table()
    for action, k in actions:
        ids = annotations.rows["id"][annotations.present]
        chosen = ids[k % len(ids) : k % len(ids) + 1] if len(ids) else ids
        if action == 0:
            annotations.add(k, k, 1)
        elif action == 1:
            annotations.set_class(chosen, 1 + k % 2)
        elif action == 2:
            annotations.delete(chosen)
        elif action == 3:
            annotations.confirm(chosen)
        else:
            annotations.move(chosen, [k], [k])
    end = annotations.to_table()
    while annotations.undo():
        pass
    assert annotations.to_table().equals(start)
    while annotations.redo():
        pass
    assert annotations.to_table().equals(end)


def test_detections_on_top_of_a_persons_nuclei_are_dropped(annotations: SlideAnnotations) -> None:
    annotations.confirm([1])
    annotations.delete([2])
    taken = annotations.append([12, 22, 60], [1, 2, 6], [1, 1, 1], [0.9, 0.9, 0.9], "n", 6.0)
    assert taken == 1
    assert annotations.to_table()["x"].tolist() == [10, 30, 60]


def test_an_addition_taken_back_does_not_bar_a_detection(annotations: SlideAnnotations) -> None:
    annotations.add(60, 60, 1)
    annotations.undo()
    assert annotations.append([60], [60], [1], [0.9], "n", 6.0) == 1


def test_a_cancelled_detection_brings_back_what_it_replaced(annotations: SlideAnnotations) -> None:
    before = annotations.to_table()
    annotations.begin_detection(np.array([True, False, True]), 1.0)
    assert annotations.to_table()["id"].tolist() == [2]
    annotations.end_detection("cancelled")
    assert annotations.to_table().equals(before)


def test_redo_brings_no_nucleus_back_that_a_detection_replaced(
    annotations: SlideAnnotations,
) -> None:
    annotations.set_class([1], 2)
    annotations.undo()
    annotations.begin_detection(np.ones(3, dtype=bool), 1.0)
    annotations.append([10], [1], [1], [0.9], "n", 6.0)
    annotations.end_detection("done")
    assert annotations.redo() is None
    assert annotations.to_table()["x"].tolist() == [10]


def test_other_classes_are_joined_not_mixed_up(annotations: SlideAnnotations) -> None:
    lookup = annotations.adopt_scheme(ClassScheme.from_names(["c", "b"]))
    assert annotations.scheme.names == ("a", "b", "c")
    assert lookup == (3, 2)


def test_a_file_keeps_class_and_status(annotations: SlideAnnotations) -> None:
    table = nucleus_table([1, 2], [3, 4], ["x", "a"], status=["confirmed", "predicted"])
    corners = ((0.0, 0.0), (9.0, 0.0), (0.0, 9.0))
    content = NucleusFile(table, regions=(NamedRegion(corners, "field", True),))
    annotations.load(content)
    annotations.load(content)
    assert annotations.regions()[["name", "reviewed"]].values.tolist() == [["field", True]]
    table = annotations.to_table()
    assert len(table) == 5
    assert table["class_name"].tolist()[3:] == ["x", "a"]
    assert table["status"].tolist()[3:] == ["confirmed", "predicted"]


def test_all_is_there_after_a_restart_and_can_be_undone(tmp_path: Path) -> None:
    first = three_nuclei(tmp_path)
    first.set_class([1], 2)
    first.add(5, 6, 2)
    before = first.to_table()
    first.rest()
    second = SlideAnnotations(ClassScheme.from_names(["other"]), StorePlace(tmp_path / "slide.png"))
    assert second.to_table().equals(before)
    assert second.scheme.names == ("a", "b")
    undone = [second.undo(), second.undo()]
    assert [e.label for e in undone if e] == ["1 new nucleus (b)", "class of 1 nucleus (b)"]
    assert second.undo() is None


def test_annotations_at_rest_goes_on_and_sees_what_others_did(tmp_path: Path) -> None:
    first = three_nuclei(tmp_path)
    first.rest()
    second = SlideAnnotations(first.scheme, StorePlace(tmp_path / "slide.png"))
    second.delete([1])
    second.rest()
    first.confirm([2])
    assert first.to_table()["status"].tolist() == ["confirmed", "predicted"]


def test_the_second_to_open_can_look_and_not_edit(tmp_path: Path) -> None:
    first = three_nuclei(tmp_path)
    second = SlideAnnotations(first.scheme, StorePlace(tmp_path / "slide.png"))
    assert second.read_only
    assert len(second.to_table()) == 3
    with pytest.raises(UserError, match="open in another window"):
        second.delete([1])
    assert len(second.to_table()) == 3


def test_it_can_be_edited_once_the_other_window_is_closed(tmp_path: Path) -> None:
    first = three_nuclei(tmp_path)
    second = SlideAnnotations(first.scheme, StorePlace(tmp_path / "slide.png"))
    first.add(50, 50, first.class_ids[0])
    told: list[int] = []
    second.changed.connect(lambda: told.append(int(second.counts().sum())))
    with pytest.raises(UserError, match="open in another window"):
        second.delete([1])
    first.rest()
    second.delete([1])
    assert second.to_table()["id"].tolist() == [2, 3, 4]
    assert told == [4, 3]
    with pytest.raises(UserError, match="open in another window"):
        first.confirm([2])


def test_what_another_window_has_made_meanwhile_is_shown(tmp_path: Path) -> None:
    (tmp_path / "slide.png").write_bytes(b"pixels")
    place = StorePlace(tmp_path / "slide.png")
    first = SlideAnnotations(ClassScheme.from_names(["a"]), place)
    second = SlideAnnotations(ClassScheme.from_names(["b", "a"]), place)
    first.add(10, 10, first.class_ids[0])
    told: list[int] = []
    second.changed.connect(lambda: told.append(int(second.counts().sum())))
    with pytest.raises(UserError, match=r"has made slide\.png\.muse for this slide; what it holds"):
        second.add(20, 20, second.class_ids[1])
    assert told == [1]
    assert second.scheme.names == ("a",)
    with pytest.raises(UserError, match="open in another window"):
        second.add(20, 20, second.class_ids[0])
    first.rest()
    second.add(20, 20, second.class_ids[0])
    assert second.to_table()["x"].tolist() == [10, 20]
    assert [path.name for path in tmp_path.glob("*.muse")] == ["slide.png.muse"]


def test_looking_leaves_no_file(tmp_path: Path) -> None:
    slide = tmp_path / "slide.png"
    slide.write_bytes(b"pixels")
    annotations = SlideAnnotations(ClassScheme.from_names(["a"]), StorePlace(slide))
    assert annotations.to_table().empty
    assert annotations.undo() is None
    assert [p.name for p in tmp_path.iterdir()] == ["slide.png"]


def test_without_a_slide_nothing_can_be_added() -> None:
    with pytest.raises(UserError, match="Open a slide first"):
        SlideAnnotations(ClassScheme.from_names(["a"])).add(1, 1, 0)


def test_regions_and_classes_are_undone_like_nuclei(annotations: SlideAnnotations) -> None:
    annotations.add_region([(0, 0), (9, 0), (0, 9)], reviewed=True, name="field")
    annotations.edit_classes(lambda store: store.merge_classes("b", "a"))
    assert annotations.counts().tolist() == [3]
    undone = annotations.undo()
    assert undone is not None
    assert undone.label == "merge of class b into a (1 nucleus)"
    assert annotations.counts().tolist() == [2, 1]
    assert len(annotations.regions()) == 1
    undone = annotations.undo()
    assert undone is not None
    assert undone.label == "new region field"
    assert annotations.regions().empty


def test_a_file_brings_its_classes_to_a_slide_that_has_none(tmp_path: Path) -> None:
    (tmp_path / "slide.png").write_bytes(b"pixels")
    annotations = SlideAnnotations(
        ClassScheme.from_names(["x", "y"]), StorePlace(tmp_path / "slide.png")
    )
    theirs = ClassScheme(
        (NucleusClass("Tumor cell", "#ff00ff", "5"), NucleusClass("Immune", "#00ffff", "6"))
    )
    annotations.load(NucleusFile(nucleus_table([1], [1], "Immune"), theirs))
    assert annotations.scheme == theirs
    more = ClassScheme((NucleusClass("mitosis", "#ffff00", "9"),))
    annotations.load(NucleusFile(nucleus_table([9], [9], "mitosis"), more))
    assert annotations.scheme.classes == (*theirs.classes, *more.classes)
    assert annotations.counts().tolist() == [0, 1, 1]
    annotations.rest()


def test_a_file_that_is_refused_leaves_no_store(tmp_path: Path) -> None:
    (tmp_path / "slide.png").write_bytes(b"pixels")
    annotations = SlideAnnotations(
        ClassScheme.from_names(["x"]), StorePlace(tmp_path / "slide.png")
    )
    many = tuple(NamedRegion(((0, 0), (1, 0), (0, 1))) for _ in range(1001))
    with pytest.raises(UserError, match="annotations"):
        annotations.load(NucleusFile(nucleus_table([], [], []), regions=many))
    assert not annotations.has_file


def test_a_file_that_cannot_be_kept_leaves_the_classes(tmp_path: Path) -> None:
    classes = ClassScheme.from_names(["x"])
    file = NucleusFile(nucleus_table([1], [1], "Tumor"))
    (tmp_path / "slide.png").write_bytes(b"pixels")
    (tmp_path / "annotations").write_bytes(b"a file where a folder should be")
    for place in (None, StorePlace(tmp_path / "slide.png", tmp_path / "annotations")):
        annotations = SlideAnnotations(classes, place)
        with pytest.raises(UserError):
            annotations.load(file)
        assert annotations.scheme == classes
        assert annotations.pristine
