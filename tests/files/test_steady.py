"""A file on a full disk that behaves as on a disk with space until it is closed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muse_core.files.steady import SteadyFile

_PLACES = st.integers(0, 200_000)


class FullFile(io.FileIO):
    """Accepts a number of bytes and no more."""

    room = 0

    def write(self, data: bytes | memoryview) -> int:  # type: ignore[override]
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = super().write(memoryview(data)[: self.room])
        self.room -= taken
        return taken


@given(
    room=st.integers(0, 300_000),
    writes=st.lists(st.tuples(_PLACES, st.integers(0, 150_000)), max_size=6),
    reads=st.lists(st.tuples(_PLACES, _PLACES), max_size=4),
)
@example(room=0, writes=[(1, 0)], reads=[(0, 1)])
def test_what_was_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    room: int,
    writes: list[tuple[int, int]],
    reads: list[tuple[int, int]],
) -> None:
    plain = io.BytesIO()
    with FullFile(tmp_path_factory.mktemp("steady") / "file", "w+") as raw:
        raw.room = room
        steady = SteadyFile(raw, reads_back=True)
        for number, (place, length) in enumerate(writes):
            for file in (plain, steady):
                file.seek(place)
                assert file.write(bytes([number + 1]) * length) == length
        for place, length in reads:
            steady.seek(place)
            plain.seek(place)
            assert (steady.read(length) or b"") == plain.read(length)
        assert (steady.error is None) == (sum(length for _, length in writes) <= room)


def test_the_place_and_length_are_those_of_a_file(tmp_path: Path) -> None:
    with io.FileIO(tmp_path / "file", "w+") as raw:
        steady = SteadyFile(raw, reads_back=True)
        steady.write(b"abcdef")
        assert (steady.tell(), steady.seek(-2, io.SEEK_END), steady.seek(1, io.SEEK_CUR)) == (
            6,
            4,
            5,
        )
        assert steady.read() == b"f"
        assert steady.truncate(3) == 3
        assert steady.seek(0, io.SEEK_END) == 3
    assert (tmp_path / "file").read_bytes() == b"abc"
