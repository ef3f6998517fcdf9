from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.nuclei import NucleusClass, nucleus_table
from muse_core.nuclei.store import AnnotationStore

from .helpers import SLIDE, new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    with new_store(tmp_path / "s.muse", n=5) as opened:
        yield opened


def _state(store: AnnotationStore) -> list[tuple[object, ...]]:
    nuclei = store.nuclei(with_deleted=True)
    regions = store.regions().to_numpy().tolist()
    return [*nuclei.itertuples(index=False, name=None), *map(tuple, regions), store.classes]


def test_what_goes_in_comes_out(store: AnnotationStore) -> None:
    table = store.nuclei()
    assert table["id"].tolist() == [1, 2, 3, 4, 5]
    assert table["x"].tolist() == [0, 1, 2, 3, 4]
    assert set(table["class_name"]) == {"a"}
    assert set(table["status"]) == {"predicted"}
    assert set(table["model"]) == {"m"}
    assert store.slide == SLIDE
    assert store.count() == {"a": 5, "b": 0}


@settings(max_examples=10, deadline=None)
@given(
    points=st.lists(
        st.tuples(st.floats(-1e3, 1e6, width=64), st.floats(-1e3, 1e6, width=64)), max_size=30
    ),
    corner=st.tuples(st.floats(-1e3, 1e6), st.floats(-1e3, 1e6)),
    size=st.tuples(st.floats(0, 5e5), st.floats(0, 5e5)),
)
def test_a_view_is_what_brute_force_finds(
    tmp_path_factory: pytest.TempPathFactory,
    points: list[tuple[float, float]],
    corner: tuple[float, float],
    size: tuple[float, float],
) -> None:
    xy = np.array(points, dtype=float).reshape(-1, 2)
    x0, y0, x1, y1 = *corner, corner[0] + size[0], corner[1] + size[1]
    with new_store(tmp_path_factory.mktemp("s") / "s.muse") as store:
        store.insert(nucleus_table(xy[:, 0], xy[:, 1], "a"))
        inside = (xy[:, 0] >= x0) & (xy[:, 0] <= x1) & (xy[:, 1] >= y0) & (xy[:, 1] <= y1)
        assert len(store.nuclei((x0, y0, x1, y1))) == inside.sum()


def test_edits_and_their_status(store: AnnotationStore) -> None:
    store.set_class([1], "b")
    store.set_class([2], "a")
    store.confirm([3])
    store.delete([4])
    added = store.add(10.5, 20.5, "b")
    status = store.nuclei(with_deleted=True).set_index("id")["status"].to_dict()
    assert status == {
        1: "corrected", 2: "confirmed", 3: "confirmed", 4: "deleted", 5: "predicted", added: "added"
    }  # fmt: skip
    assert store.count() == {"a": 3, "b": 2}
    assert 4 not in store.nuclei()["id"].tolist()
    found = store.nuclei((10, 20, 11, 21))
    assert found["id"].tolist() == [added]


def test_moved_nuclei_are_found_where_they_are(store: AnnotationStore) -> None:
    store.move([1], [500], [600])
    assert store.nuclei((499, 599, 501, 601))["id"].tolist() == [1]
    assert 1 not in store.nuclei((-1, -1, 1, 1))["id"].tolist()
    store.undo()
    assert store.nuclei((499, 599, 501, 601)).empty
    assert 1 in store.nuclei((-1, -1, 1, 1))["id"].tolist()


ACTIONS = st.lists(st.integers(0, 9), min_size=1, max_size=25)


def _act(store: AnnotationStore, action: int, k: int) -> None:
    present = store.nuclei()["id"].tolist()
    chosen = [present[k % len(present)]] if present else []
    if action == 0:
        store.set_class(present[:3], ("a", "b")[k % 2] if "b" in store.classes.names else "a")
    elif action == 1:
        store.confirm(chosen)
    elif action == 2:
        store.delete(chosen)
    elif action == 3:
        store.add(k, 2 * k, "a")
    elif action == 4:
        store.add_region([(0, 0), (k + 1, 0), (0, k + 1)], reviewed=True)
    elif action == 5 and len(store.regions()):
        store.delete_region(int(store.regions()["id"].iloc[0]))
    elif action == 6 and chosen:
        store.move(chosen, [3 * k], [k])
    elif action == 7:
        store.add_class(NucleusClass(f"new{k}", "#123456"))
    elif action == 8 and "b" in store.classes.names:
        store.merge_classes("b", "a")
    elif action == 9:
        store.change_class("a", NucleusClass("a", f"#{k:06x}", ""))


@settings(max_examples=8, deadline=None)
@given(ACTIONS)
def test_undoing_all_goes_back_and_redoing_all_comes_forth(
    tmp_path_factory: pytest.TempPathFactory, actions: list[int]
) -> None:
    path = tmp_path_factory.mktemp("s") / "s.muse"
    states = []
    with new_store(path, n=4) as store:
        states.append(_state(store))
        for k, action in enumerate(actions):
            _act(store, action, k)
            if _state(store) != states[-1]:
                states.append(_state(store))
    with AnnotationStore.open(path) as store:
        for state in reversed(states[:-1]):
            while _state(store) != state:
                assert store.undo() is not None
        while store.undo():
            assert _state(store) == states[0], "edits that change nothing"
        for state in states[1:]:
            while _state(store) != state:
                assert store.redo() is not None


def test_an_edit_after_undo_drops_what_could_be_redone(store: AnnotationStore) -> None:
    store.delete([1])
    store.undo()
    store.delete([2])
    assert store.redo() is None
    assert store.nuclei()["id"].tolist() == [1, 3, 4, 5]


def test_ids_are_never_given_twice(store: AnnotationStore) -> None:
    store.begin_detection([1, 2, 3, 4, 5], 1.0)
    store.insert(nucleus_table([2], [2], "b"))
    store.end_detection("done")
    assert store.nuclei()["id"].tolist() == [6]


def test_classes_can_be_renamed_and_merged(store: AnnotationStore) -> None:
    store.set_class([1, 2], "b")
    store.change_class("b", NucleusClass("plasma", "#abcdef", "7"))
    assert store.count() == {"a": 3, "plasma": 2}
    store.merge_classes("plasma", "a")
    assert store.count() == {"a": 5}
    store.undo()
    assert store.count() == {"a": 3, "plasma": 2}


def test_a_region_can_be_renamed_and_reviewed(store: AnnotationStore) -> None:
    number = store.add_region([(0, 0), (1, 0), (0, 1)], reviewed=False)
    store.change_region(number, name="margin")
    store.change_region(number, reviewed=True)
    store.change_region(number, reviewed=True)
    assert store.regions()[["name", "reviewed"]].values.tolist() == [["margin", True]]
    store.undo()
    store.undo()
    assert store.regions()[["name", "reviewed"]].values.tolist() == [["", False]]


def test_regions_of_a_file_come_and_go_as_one_edit(store: AnnotationStore) -> None:
    triangle = ((0, 0), (1, 0), (0, 1))
    edit = store.add_regions([(triangle, False, "one"), (triangle, True, "two")])
    assert store.regions()["id"].tolist() == [change.id for change in edit.changes]
    assert store.regions()["name"].tolist() == ["one", "two"]
    store.undo()
    assert store.regions().empty
    assert not store.add_regions([])


def test_refusals_are_sentences_and_change_nothing(store: AnnotationStore) -> None:
    before = _state(store)
    for attempt in (
        lambda: store.set_class([1], "nowhere"),
        lambda: store.delete([1, 99]),
        lambda: store.add(float("nan"), 0, "a"),
        lambda: store.insert(nucleus_table([1], [1], "unknown")),
        lambda: store.add_region([(0, 0), (1, 1)], reviewed=True),
        lambda: store.add_class(NucleusClass("a", "#000000")),
        lambda: store.merge_classes("a", "a"),
    ):
        with pytest.raises(UserError, match=r"\.$"):
            attempt()
    assert _state(store) == before
    assert store.undo() is None


def test_a_second_opener_can_look_but_not_edit(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    with new_store(path, n=2) as first, AnnotationStore.open(path) as second:
        assert not first.read_only
        assert second.read_only
        first.delete([1])
        assert second.nuclei()["id"].tolist() == [2]
        with pytest.raises(UserError, match="another window"):
            second.delete([2])
    with AnnotationStore.open(path) as third:
        assert not third.read_only


def test_files_that_are_no_stores_get_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no annotation store"):
        AnnotationStore.open(tmp_path / "missing.muse")
    (tmp_path / "text.muse").write_text("x,y\n" * 1000)
    with pytest.raises(UserError, match="not a readable annotation store"):
        AnnotationStore.open(tmp_path / "text.muse")
    assert [file.name for file in tmp_path.iterdir()] == ["text.muse"], "nothing beside it"
    sqlite3.connect(tmp_path / "other.muse").execute("CREATE TABLE t(x)").connection.close()
    with pytest.raises(UserError, match="not an annotation store"):
        AnnotationStore.open(tmp_path / "other.muse")
    new_store(tmp_path / "s.muse").close()
    with pytest.raises(UserError, match="exists already"):
        new_store(tmp_path / "s.muse")


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    new_store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UserError, match="newer napari-muse"):
        AnnotationStore.open(path)


def test_the_journal_keeps_everything(store: AnnotationStore) -> None:
    store.delete([1])
    store.undo()
    store.redo()
    rows = pd.read_sql("SELECT kind, of_seq FROM journal ORDER BY seq", store._db.connection)
    assert rows["kind"].tolist() == ["edit", "undo", "redo"]
    assert rows["of_seq"].tolist()[1:] == [1, 1]
