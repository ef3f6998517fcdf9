"""Nuclei replaced by a detection are restored as they should be, also after a crash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import nucleus_table
from muse_core.nuclei.store import AnnotationStore

from .helpers import new_store

# Old nuclei are at (0, 0) to (4, 4); a new one at (1, 1) is the same as the old one there.
NEW = nucleus_table([1.0, 50.0], [1.0, 50.0], "b", model="new")


def _begun(path: Path) -> AnnotationStore:
    store = new_store(path, n=5)
    store.begin_detection([1, 2, 3], 0.5)
    store.insert(NEW)
    return store


def _places(store: AnnotationStore) -> list[tuple[float, str]]:
    table = store.nuclei()
    return sorted(zip(table["x"].tolist(), table["class_name"].tolist(), strict=True))


def test_while_it_runs_the_old_ones_are_out_of_sight(tmp_path: Path) -> None:
    with _begun(tmp_path / "s.muse") as store:
        assert _places(store) == [(1, "b"), (3, "a"), (4, "a"), (50, "b")]


@pytest.mark.parametrize(
    ("how", "places"),
    [
        ("done", [(1, "b"), (3, "a"), (4, "a"), (50, "b")]),
        ("cancelled", [(0, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "a"), (50, "b")]),
        ("failed", [(0, "a"), (1, "a"), (2, "a"), (3, "a"), (4, "a")]),
    ],
)
def test_how_it_ends(tmp_path: Path, how: str, places: list[tuple[float, str]]) -> None:
    with _begun(tmp_path / "s.muse") as store:
        store.end_detection(how)
        assert _places(store) == places
        store.begin_detection([], 0.5)


def test_of_a_failed_one_what_was_corrected_stays(tmp_path: Path) -> None:
    with _begun(tmp_path / "s.muse") as store:
        store.confirm([6])
        store.end_detection("failed")
        assert _places(store) == [(0, "a"), (1, "b"), (2, "a"), (3, "a"), (4, "a")]


def test_a_crash_counts_as_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    _begun(path).close()  # Equivalent to a kill: the end is never written.
    with AnnotationStore.open(path) as store:
        assert [x for x, _ in _places(store)] == [0, 1, 2, 3, 4, 50]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with _begun(tmp_path / "s.muse") as store, pytest.raises(UserError, match="in progress"):
        store.begin_detection([], 1.0)


def test_what_could_be_redone_is_forgotten(tmp_path: Path) -> None:
    with new_store(tmp_path / "s.muse", n=5) as store:
        store.set_class([1], "b")
        store.undo()
        store.begin_detection([1], 0.5)
        store.insert(nucleus_table([0.0], [0.0], "a"))
        store.end_detection("done")
        assert store.redo() is None
        assert (store.nuclei()["x"] == 0).sum() == 1


def test_an_undo_meanwhile_makes_no_double(tmp_path: Path) -> None:
    with new_store(tmp_path / "s.muse", n=2) as store:
        store.confirm([1])
        store.undo()
        store.begin_detection([1, 2], 0.5)
        store.end_detection("cancelled")
        assert store.nuclei()["id"].tolist() == [1, 2]


def test_doubts_are_kept_through_edits(tmp_path: Path) -> None:
    with new_store(tmp_path / "s.muse") as store:
        table = nucleus_table([1, 2], [1, 2], "a")
        store.insert(table, {"entropy": [0.5, np.nan], "margin": [0.25, 0.75]})
        store.set_class([1], "b")
        store.set_uncertainty([2], {"disagreement": [0.125]})
        rows = store.rows()
        np.testing.assert_array_equal(rows["entropy"], [0.5, np.nan])
        np.testing.assert_array_equal(rows["margin"], [0.25, 0.75])
        np.testing.assert_array_equal(rows["disagreement"], [np.nan, 0.125])


SQUARE = ((0.5, 0.5), (60, 0.5), (60, 60), (0.5, 60))


def test_a_field_reviewed_meanwhile_keeps_what_was_found(tmp_path: Path) -> None:
    with _begun(tmp_path / "s.muse") as store:
        store.add_region(SQUARE, reviewed=True)
        store.end_detection("failed")
        # Of the old ones that were set aside only the one at 0, outside the field, comes back.
        assert _places(store) == [(0, "a"), (1, "b"), (3, "a"), (4, "a"), (50, "b")]


def test_a_field_reviewed_meanwhile_gets_nothing_back(tmp_path: Path) -> None:
    with _begun(tmp_path / "s.muse") as store:
        store.add_region(SQUARE, reviewed=True)
        store.end_detection("cancelled")
        assert _places(store) == [(0, "a"), (1, "b"), (3, "a"), (4, "a"), (50, "b")]


def test_a_region_that_is_not_reviewed_protects_nothing(tmp_path: Path) -> None:
    with _begun(tmp_path / "s.muse") as store:
        store.add_region(SQUARE, reviewed=False)
        store.end_detection("failed")
        assert _places(store) == [(0, "a"), (1, "a"), (2, "a"), (3, "a"), (4, "a")]
