from __future__ import annotations

import zlib

import pytest

from muse_core.errors import UserError
from muse_core.nuclei.store.edits import Change, pack_changes, unpack_changes

CHANGES = (Change("nuclei", 7, (1.5, 2.0, 1, 0.5, 0, None), None),)


def test_changes_come_back() -> None:
    assert unpack_changes(pack_changes(CHANGES)) == CHANGES


@pytest.mark.parametrize(
    "text", ["", "[[1]]", "[" * 100_000, '[["nuclei",Infinity,null,null]]', '[["x",1,null,null]]']
)
def test_a_damaged_entry_gets_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match="damaged"):
        unpack_changes(zlib.compress(text.encode()))


def test_what_could_not_be_read_again_is_neither_written_nor_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = pack_changes(CHANGES)
    monkeypatch.setattr("muse_core.nuclei.store.edits._MAX_CHANGES_BYTES", 20)
    with pytest.raises(UserError, match="in parts"):
        pack_changes(CHANGES)
    with pytest.raises(UserError, match="damaged"):
        unpack_changes(packed)
