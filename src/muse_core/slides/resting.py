"""Slides that close their file while they are not used, and open it again on the next read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from muse_core.array_types import RgbArray
from muse_core.errors import UserError
from muse_core.slides.level import Level, PieceCache
from muse_core.slides.slide import Slide, SlideSource


def resting_slide(open_file: Callable[[], Slide]) -> Slide:
    """A slide whose :meth:`Slide.rest` closes the file and drops its pixels from memory.

    The next read opens the file again; so do its dask arrays, in any thread. It also closes when
    nothing refers to it any more.

    Args:
        open_file: Opens the slide, the same one each time.

    Raises:
        UserError: From ``open_file``; a read raises it too where the file has gone or changed.
    """
    file = _File(open_file)
    slide = Slide(file.source())
    return slide if file.mpp in (None, slide.mpp) else slide.with_mpp(file.mpp)


class _File:
    """A slide's file, open or not; reads that are under way keep it open."""

    def __init__(self, open_file: Callable[[], Slide]) -> None:
        self._open_file = open_file
        self._lock = threading.Lock()
        self._slide: Slide | None = open_file()
        self._readers = 0
        self._resting = self._closed = False
        self._cache = PieceCache()
        self._shapes = [level.shape for level in self._slide.source.levels]
        self.name = self._slide.name
        self.mpp = self._slide.mpp

    def source(self) -> SlideSource:
        """Return what the reader found, with levels that open the file when they are read."""
        assert self._slide is not None
        found = self._slide.source
        levels = tuple(_RestingLevel(self, i, level) for i, level in enumerate(found.levels))
        for number, level in enumerate(levels):
            level.share_cache(self._cache, number)
        return replace(found, levels=levels, close=self.close, rest=self.rest)

    @contextmanager
    def level(self, index: int) -> Iterator[Level]:
        """A level of the open file; raises UserError where it cannot be opened any more.

        After an error the next call opens the file anew: what was open of a file on a share may
        fail for ever once the connection was lost.
        """
        with self._lock:
            slide = self._opened()
            self._readers += 1
            self._resting = False
        try:
            yield slide.source.levels[index]
        except Exception:
            with self._lock:
                self._resting = True
            raise
        finally:
            with self._lock:
                self._readers -= 1
                self._let_go()

    def rest(self) -> None:
        """Close the file after the reads that are under way, and forget its pixels."""
        with self._lock:
            self._resting = True
            self._let_go()
        self._cache.clear()

    def close(self) -> None:
        """Close the file for good."""
        with self._lock:
            self._resting = self._closed = True
            self._let_go()
        self._cache.clear()

    def __del__(self) -> None:
        slide = getattr(self, "_slide", None)
        if slide is not None:
            slide.close()

    def _opened(self) -> Slide:
        if self._closed:
            raise UserError(f"{self.name} was closed.")
        if self._slide is None:
            slide = self._open_file()
            if [level.shape for level in slide.source.levels] != self._shapes:
                slide.close()
                raise UserError(f"{self.name} is another image than before; open it anew.")
            self._slide = slide
        return self._slide

    def _let_go(self) -> None:
        if self._resting and not self._readers and self._slide is not None:
            slide, self._slide = self._slide, None
            with suppress(OSError):  # Its share has gone.
                slide.close()


class _RestingLevel(Level):
    """A level that is read through its file."""

    def __init__(self, file: _File, index: int, level: Level) -> None:
        super().__init__(level.name, level.shape[:2], (level.piece_h, level.piece_w))
        self._file, self._index = file, index

    def _decode(self, row: int, col: int) -> RgbArray:
        with self._file.level(self._index) as level:
            return level.decode(row, col)
