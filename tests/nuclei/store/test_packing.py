from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.nuclei.store.edits import NucleusChanges
from muse_core.nuclei.store.packing import pack_changes, unpack_changes
from muse_core.nuclei.store.rows import EDITED, STORED_ROW, Change

place = st.floats(-1e9, 1e9)
unsure = st.one_of(st.just(np.nan), st.floats(0, 1, width=32))
row = st.tuples(
    st.integers(1, 2**40), place, place, st.integers(1, 99), st.floats(0, 1, width=32),
    st.integers(0, 4), st.integers(1, 9), unsure, unsure, unsure,
)  # fmt: skip
pair = st.tuples(row, row, st.sampled_from([(True, True), (True, False), (False, True)]))
CHANGES = (
    Change("regions", 7, None, ("field 1", "[[0.0, 1.5]]", 1)),
    Change("live_predictions", 1, (3,), None),
)


def _changes(pairs: list[Any]) -> NucleusChanges:
    before = np.array([b for b, _, _ in pairs], dtype=STORED_ROW)
    after = np.array([a for _, a, _ in pairs], dtype=STORED_ROW)
    after["id"] = before["id"]
    existed, exists = np.array([t for _, _, t in pairs], dtype=bool).reshape(-1, 2).T
    return NucleusChanges(before, after, existed, exists)


@given(st.lists(pair, max_size=12))
def test_changes_come_back(pairs: list[Any]) -> None:
    nuclei = _changes(pairs)
    found, rows = unpack_changes(pack_changes(nuclei, CHANGES))
    assert rows == CHANGES
    stay = nuclei.existed & nuclei.exists
    for name in ("existed", "exists", "ids"):
        np.testing.assert_array_equal(getattr(found, name), getattr(nuclei, name))
    for there, a, b in (
        (nuclei.existed, found.before, nuclei.before),
        (nuclei.exists, found.after, nuclei.after),
    ):
        for name in EDITED:
            np.testing.assert_array_equal(a[name][there], b[name][there])
        for name in STORED_ROW.names or ():
            np.testing.assert_array_equal(a[name][there & ~stay], b[name][there & ~stay])


def test_entries_of_older_files_are_read() -> None:
    """As versions 1 to 4 wrote them: a JSON list of table, id, row before and row after."""
    rows = [
        ["nuclei", 7, [1.5, 2.0, 1, 0.5, 0, 1], [1.5, 2.0, 2, 0.5, 2, 1]],
        ["nuclei", 8, [3.0, 4.0, 1, 0.25, 0, 1, 0.75, None, None], None],
        ["nuclei", 9, None, [5, 6, 1, 1, 3, 2]],
        ["classes", 2, ["b", "#000000", "2", 1], None],
    ]
    nuclei, changes = unpack_changes(zlib.compress(json.dumps(rows).encode()))
    assert nuclei.ids.tolist() == [7, 8, 9]
    assert nuclei.existed.tolist() == [True, True, False]
    assert nuclei.exists.tolist() == [True, False, True]
    assert nuclei.before["class_id"][:2].tolist() == [1, 1]
    assert nuclei.after["class_id"].tolist()[0] == 2
    assert nuclei.before["entropy"][1] == 0.75
    assert np.isnan(nuclei.before["margin"][1])
    assert nuclei.after["x"][2] == 5
    assert changes == (Change("classes", 2, ("b", "#000000", "2", 1), None),)


@pytest.mark.parametrize(
    "text",
    [
        "", "[[1]]", "[" * 100_000, '[["nuclei",Infinity,null,null]]', '[["x",1,null,null]]',
        '[["nuclei",1,null,[0,0,1,1,300,1]]]', '[["nuclei",1,null,[0,0,1,1,9,1]]]',
        '[["nuclei",1,null,[NaN,0,1,1,0,1]]]', '[["nuclei",1,null,[0,0,1]]]',
        '[["classes",1,null,["a"]]]',
    ],
)  # fmt: skip
def test_a_damaged_entry_of_an_older_file_gets_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match="damaged"):
        unpack_changes(zlib.compress(text.encode()))


HEAD = b"[[],2,[]]"


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x01", struct.pack("<I", 99), struct.pack("<I", len(HEAD)) + HEAD,
        struct.pack("<I", len(HEAD)) + HEAD + bytes(1000),
        struct.pack("<I", 10) + b"[[],-1,[]]", struct.pack("<I", 13) + b'[[],0,["id"]]',
        struct.pack("<I", 2) + b"{}", struct.pack("<I", 11) + b"[[],1e9,[]]",
    ],
)  # fmt: skip
def test_a_damaged_entry_gets_a_sentence(raw: bytes) -> None:
    with pytest.raises(UserError, match="damaged"):
        unpack_changes(b"\x02" + zlib.compress(raw))


def test_what_could_not_be_read_again_is_neither_written_nor_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nuclei = NucleusChanges.coming(np.zeros(3, dtype=STORED_ROW))
    packed = pack_changes(nuclei, ())
    monkeypatch.setattr("muse_core.nuclei.store.packing._MAX_BYTES", 20)
    with pytest.raises(UserError, match="in parts"):
        pack_changes(nuclei, ())
    with pytest.raises(UserError, match="damaged"):
        unpack_changes(packed)
