"""A file for libraries that cannot handle failing writes: the error is raised at the end."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

_PAGE_BYTES = 1 << 16


class SteadyFile(io.RawIOBase):
    """Accepts all writes, and remembers the first error instead of raising it.

    After a failed write HDF5 cannot close its file: it prints tracebacks and may crash; torch stops
    in the middle of its archive. The file is deleted anyhow, so the library may finish it. Data
    that could not be written is kept in memory for libraries that read it back, because HDF5
    crashes on other bytes than it has written.

    Attributes:
        error: The first error, or None.
    """

    def __init__(self, raw: io.FileIO, reads_back: bool) -> None:
        self._raw = raw
        self._reads_back = reads_back
        self._at = 0
        self._length = 0
        self._pages: dict[int, bytearray] = {}
        self.error: OSError | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Bytes read into the buffer."""
        wanted = memoryview(buffer).cast("B")[: max(0, self._length - self._at)]
        for number, start, part in self._parts(len(wanted)):
            page = self._pages.get(number)
            if page is not None:
                wanted[part] = page[start : start + part.stop - part.start]
            else:
                wanted[part] = self._from_disk(number, start, part.stop - part.start)
        self._at += len(wanted)
        return len(wanted)

    def write(self, data: bytes | memoryview, /) -> int:  # type: ignore[override]
        """The number of bytes, whatever becomes of them."""
        everything = memoryview(data).cast("B")
        rest = everything
        try:
            self._raw.seek(self._at)
            # The system may take a part, and have no room for the rest.
            while self.error is None and rest:
                rest = rest[self._raw.write(rest) :]
        except OSError as error:
            self.error = error
        if self.error is not None and self._reads_back:
            self._keep(everything)
        self._at += len(everything)
        # Writing no bytes beyond the end does not extend a file.
        if everything:
            self._length = max(self._length, self._at)
        return len(everything)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new place."""
        self._at = (
            offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        )
        return self._at

    def tell(self) -> int:
        """The place."""
        return self._at

    def truncate(self, size: int | None = None, /) -> int:
        """The new length."""
        self._length = self._at if size is None else size
        if self.error is None:
            try:
                self._raw.truncate(self._length)
            except OSError as error:
                self.error = error
        return self._length

    def _keep(self, data: memoryview) -> None:
        for number, start, part in self._parts(len(data)):
            if number not in self._pages:
                self._pages[number] = bytearray(self._from_disk(number, 0, _PAGE_BYTES))
            self._pages[number][start : start + part.stop - part.start] = data[part]

    def _parts(self, count: int) -> Iterator[tuple[int, int, slice]]:
        """Pages from the place on: number, where in the page, and which of ``count`` bytes."""
        done = 0
        while done < count:
            number, start = divmod(self._at + done, _PAGE_BYTES)
            taken = min(count - done, _PAGE_BYTES - start)
            yield number, start, slice(done, done + taken)
            done += taken

    def _from_disk(self, page: int, start: int, count: int) -> bytes:
        """Bytes of a page; zeros where nothing is."""
        self._raw.seek(page * _PAGE_BYTES + start)
        return (self._raw.read(count) or b"").ljust(count, b"\0")


@contextlib.contextmanager
def steady_file(path: Path, reads_back: bool) -> Iterator[SteadyFile]:
    """Create a file to pass to a library.

    Args:
        path: Of the file.
        reads_back: Whether the library reads what it has written, before it is done.

    Raises:
        OSError: A write failed, whatever the library made of it.
    """
    with io.FileIO(path, "w+") as raw:
        file = SteadyFile(raw, reads_back)
        try:
            yield file
        except Exception as consequence:
            if file.error is not None:
                raise file.error from consequence
            raise
    if file.error is not None:
        raise file.error
