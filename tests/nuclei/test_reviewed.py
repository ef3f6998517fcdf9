from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.reviewed import annotation_summary, require_enough, reviewed_fields
from muse_core.nuclei.store import AnnotationStore, SlideIdentity

CLASSES = ClassScheme.from_names(["large", "small"])


def square(x: float, y: float, side: float) -> list[tuple[float, float]]:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    identity = SlideIdentity("slide.tif", 10, "ab")
    with AnnotationStore.create(tmp_path / "slide.muse", identity, CLASSES) as opened:
        yield opened


def grid(n: int, step: float, class_name: str) -> object:
    x, y = (a.ravel() for a in np.meshgrid(np.arange(n) * step + 5, np.arange(n) * step + 5))
    return nucleus_table(x, y, class_name, model="m")


def test_what_was_touched_is_told_from_what_was_only_seen(store: AnnotationStore) -> None:
    ids = store.insert(grid(10, 10, "large"))
    store.set_class(ids[:12], "small")
    store.set_class(ids[12:15], "large")
    store.delete(ids[15:17])
    store.add(50.5, 50.5, "small")
    store.add_region(square(0, 0, 100), reviewed=True)
    store.add_region(square(200, 0, 100), reviewed=False)
    summary = annotation_summary(store, 0.5)
    assert summary.n_corrected_by_class == {"large": 0, "small": 13}
    assert summary.n_by_class == {"large": 86, "small": 13}
    assert summary.n_removed == 2
    assert summary.reviewed_mm2 == pytest.approx(100 * 100 * 0.25 / 1e6)
    assert (summary.n_fields, summary.n_holdout) == (1, 0)
    assert summary.problems == ()


def test_too_little_is_refused_with_a_sentence(store: AnnotationStore) -> None:
    store.insert(grid(10, 10, "large"))
    nothing = annotation_summary(store, 0.5)
    assert "Nothing is reviewed" in nothing.problems[0]
    store.add_region(square(0, 0, 100), reviewed=True)
    store.add(50.5, 50.5, "small")
    few = annotation_summary(store, 0.5)
    assert len(few.problems) == 1
    with pytest.raises(UserError, match="Only 1 nucleus of the class 'small' lies"):
        require_enough(few)


def test_a_class_that_is_never_used_is_no_problem_but_fields_without_a_nucleus_are(
    store: AnnotationStore,
) -> None:
    store.add_region(square(0, 0, 100), reviewed=True)
    empty = annotation_summary(store, 0.5)
    assert empty.unused_classes == ("large", "small")
    with pytest.raises(UserError, match="no nucleus in the reviewed fields"):
        require_enough(empty)
    ids = store.insert(grid(10, 10, "large"))
    summary = annotation_summary(store, 0.5)
    require_enough(summary)
    assert summary.n_by_class == {"large": 100, "small": 0}
    assert summary.unused_classes == ("small",)
    for n, words in ((1, "1 nucleus of the class 'small' lies"), (9, "9 nuclei .* 'small' lie")):
        store.set_class(ids[:n], "small")
        with pytest.raises(UserError, match=f"Only {words} in reviewed fields"):
            require_enough(annotation_summary(store, 0.5))
    store.set_class(ids[:10], "small")
    assert annotation_summary(store, 0.5).unused_classes == ()
    require_enough(annotation_summary(store, 0.5))


def test_regions_that_overlap_are_one_field_that_stays_the_same(store: AnnotationStore) -> None:
    store.insert(grid(40, 10, "large"))
    store.add_region(square(0, 0, 100), reviewed=True)
    store.add_region(square(200, 0, 100), reviewed=True)
    before = reviewed_fields(store)
    assert [f.holdout for f in before] == [False, True]
    store.add_region(square(50, 50, 100), reviewed=True)
    after = reviewed_fields(store)
    assert [f.key for f in after] == [f.key for f in before]
    assert after[0].area.area == pytest.approx(2 * 100 * 100 - 50 * 50)
    # Nuclei are at 5, 15, ...: 10 x 10 in each square, 5 x 5 in both.
    assert [len(f.nuclei) for f in after] == [175, 100]


def _holdout(store: AnnotationStore) -> dict[float, bool]:
    """Whether each field is in the holdout, by its left edge."""
    return {field.area.bounds[0]: field.holdout for field in reviewed_fields(store)}


def test_no_field_changes_sides_whatever_becomes_of_the_others(store: AnnotationStore) -> None:
    numbers = [store.add_region(square(200 * i, 0, 100), reviewed=True) for i in range(8)]
    in_holdout = _holdout(store)
    assert (in_holdout[0], in_holdout[200]) == (False, True)
    store.delete_region(numbers[0])
    store.change_region(numbers[1], reviewed=False)
    left = {x: held for x, held in in_holdout.items() if x not in (0, 200)}
    assert _holdout(store) == left
    store.change_region(numbers[1], reviewed=True)
    store.undo()
    store.undo()
    store.undo()
    assert _holdout(store) == in_holdout


def test_a_region_that_joins_fields_of_both_sides_makes_them_train_for_good(
    store: AnnotationStore,
) -> None:
    store.add_region(square(0, 0, 100), reviewed=True)
    store.add_region(square(200, 0, 100), reviewed=True)
    bridge = store.add_region(square(50, 0, 200), reviewed=True)
    assert _holdout(store) == {0: False}
    store.add_region(square(900, 0, 100), reviewed=True)
    assert _holdout(store) == {0: False, 900: True}, "the holdout is one that is new"
    store.delete_region(bridge)
    assert _holdout(store) == {0: False, 200: False, 900: True}


@pytest.mark.parametrize("number", range(8))
def test_a_field_that_is_drawn_anew_stays_on_its_side(store: AnnotationStore, number: int) -> None:
    numbers = [store.add_region(square(200 * i, 0, 100), reviewed=True) for i in range(8)]
    in_holdout = _holdout(store)
    store.delete_region(numbers[number])
    store.add_region(square(200 * number - 7, -7, 120), reviewed=True)
    assert _holdout(store)[200 * number - 7] == in_holdout[200 * number]


def test_where_all_is_holdout_another_field_is_asked_for(store: AnnotationStore) -> None:
    store.insert(grid(40, 10, "large"))
    first = store.add_region(square(0, 0, 100), reviewed=True)
    store.add_region(square(200, 0, 100), reviewed=True)
    store.delete_region(first)
    assert "review another field" in annotation_summary(store, 0.5).problems[0]
    store.add_region(square(0, 200, 100), reviewed=True)
    assert annotation_summary(store, 0.5).problems == ()


def test_an_outline_that_crosses_itself_has_an_area(store: AnnotationStore) -> None:
    store.add_region([(0, 0), (100, 100), (100, 0), (0, 100)], reviewed=True)
    store.add_region([(0, 500), (100, 500), (50, 500)], reviewed=True)
    fields = reviewed_fields(store)
    assert len(fields) == 1
    assert fields[0].area.area == pytest.approx(5000)


def test_the_panel_gets_it_without_torch() -> None:
    code = "import sys, muse_core.nuclei.reviewed; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_store_that_lost_its_holdout_is_damaged(store: AnnotationStore, tmp_path: Path) -> None:
    store.add_region(square(0, 0, 100), reviewed=True)
    assert len(reviewed_fields(store)) == 1
    store.close()
    path = tmp_path / "slide.muse"
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM hold_out")
    connection.close()
    with (
        AnnotationStore.open(path, read_only=True) as damaged,
        pytest.raises(UserError, match=r"slide\.muse is damaged: of a reviewed region"),
    ):
        reviewed_fields(damaged)
