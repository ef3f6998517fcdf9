from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from muse_core.nuclei import ClassScheme, Status
from muse_core.slides import Region
from napari_muse.annotations.nucleus_arrays import NucleusArrays

_CLASSES = ("a", "b", "c")
_REGION = Region(0, 0, 5, 5)
_ROW = [("id", "i8"), ("x", "f8"), ("y", "f8"), ("class_id", "i4"), ("status", "i1")]
_nucleus = st.tuples(
    st.floats(0, 10),
    st.floats(0, 10),
    st.integers(1, 3),
    st.integers(Status.PREDICTED, Status.DELETED),
)
_nuclei = st.dictionaries(st.integers(1, 20), _nucleus, max_size=12)


def _rows(nuclei: dict[int, Any]) -> Any:
    return np.array([(number, *nuclei[number]) for number in sorted(nuclei)], dtype=_ROW)


def _look(arrays: NucleusArrays) -> Any:
    rows = arrays.rows
    return (
        arrays.present.tolist(),
        arrays.inside(_REGION).tolist(),
        arrays.counts().tolist(),
        arrays.counts_of(np.arange(len(rows))[::2]).tolist(),
        arrays.index_of(rows["id"]).tolist(),
    )


def _by_hand(nuclei: dict[int, Any]) -> Any:
    there = [nuclei[number] for number in sorted(nuclei)]
    counts = [
        [sum(k == c + 1 and status != Status.DELETED for *_, k, status in some) for c in range(3)]
        for some in (there, there[::2])
    ]
    return (
        [status != Status.DELETED for *_, status in there],
        [x < 5 and y < 5 for x, y, *_ in there],
        *counts,
        list(range(len(there))),
    )


@given(nuclei=_nuclei, changes=st.lists(st.tuples(st.sets(st.integers(1, 20)), _nuclei)))
def test_what_is_kept_is_what_counting_anew_gives(
    nuclei: dict[int, Any], changes: list[tuple[set[int], dict[int, Any]]]
) -> None:
    """Nuclei are added, removed and changed, and all queries are checked each time."""
    arrays = NucleusArrays(ClassScheme.from_names(_CLASSES), _rows(nuclei))
    assert _look(arrays) == _by_hand(nuclei)
    for gone, fresh in changes:
        version = arrays.version
        nuclei = {n: v for n, v in nuclei.items() if n not in gone} | fresh
        arrays.change(np.array(sorted(gone | set(fresh)), dtype=np.int64), _rows(fresh))
        assert _look(arrays) == _by_hand(nuclei)
        assert arrays.version > version


@given(nuclei=_nuclei.filter(bool), fresh=st.data())
def test_rows_that_stay_are_changed_where_they_lie(nuclei: dict[int, Any], fresh: Any) -> None:
    arrays = NucleusArrays(ClassScheme.from_names(_CLASSES), _rows(nuclei))
    _look(arrays)
    rows = arrays.rows
    some = fresh.draw(st.sets(st.sampled_from(sorted(nuclei)), min_size=1))
    changed = {number: fresh.draw(_nucleus) for number in some}
    arrays.change(np.array(sorted(some), dtype=np.int64), _rows(changed))
    assert arrays.rows is rows
    assert _look(arrays) == _by_hand(nuclei | changed)


def test_another_scheme_is_counted_by() -> None:
    arrays = NucleusArrays(
        ClassScheme.from_names(_CLASSES), _rows({1: (0, 0, 1, Status.PREDICTED)})
    )
    assert arrays.counts().tolist() == [1, 0, 0]
    arrays.set_classes(ClassScheme.from_names((*_CLASSES, "d")))
    assert arrays.counts().tolist() == [1, 0, 0, 0]
