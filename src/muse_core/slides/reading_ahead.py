"""Tiles of a slide in batches, read ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from muse_core.processor import usable_cores
from muse_core.slides.readable import ReadablePixels
from muse_core.slides.slide import Slide

_Tile = TypeVar("_Tile")
_MOST_READERS = 8


@dataclass(frozen=True)
class Ahead:
    """How far to read ahead.

    Attributes:
        batch: Most tiles of a batch.
        readers: Threads; as many tiles are read beyond the next batch.
    """

    batch: int
    readers: int


def usual_readers(slide: Slide) -> int:
    """Return how many threads should read a slide: those of a remote one wait for most of the time.

    With one for each of two cores and 50 ms per response, the network waits for tiles a third of
    the time.
    """
    return _MOST_READERS if slide.is_remote else min(_MOST_READERS, usable_cores())


def read_ahead(
    tiles: Iterable[_Tile],
    read: Callable[[_Tile], ReadablePixels],
    ahead: Ahead,
    should_cancel: Callable[[], bool],
    size_of: Callable[[_Tile], object] = lambda _: None,
) -> Iterator[list[tuple[_Tile, ReadablePixels]]]:
    """Yield batches of tiles with their pixels, in the order given; ends early on cancel.

    The order makes the batches, and with them every digit of a result, independent of the threads'
    timing.

    Args:
        tiles: What to read.
        read: Reads one, in a thread.
        ahead: How far, which bounds the memory.
        should_cancel: Asked before each batch.
        size_of: Tiles of one batch have the same; by default all do.
    """
    waiting: deque[tuple[_Tile, Future[ReadablePixels]]] = deque()
    coming = iter(tiles)
    pool = ThreadPoolExecutor(ahead.readers, thread_name_prefix="tile-reader")
    try:
        while not should_cancel():
            while len(waiting) < ahead.batch + ahead.readers:
                tile = next(coming, None)
                if tile is None:
                    break
                waiting.append((tile, pool.submit(read, tile)))
            if not waiting:
                return
            taken = [waiting.popleft()]
            size = size_of(taken[0][0])
            while len(taken) < ahead.batch and waiting and size_of(waiting[0][0]) == size:
                taken.append(waiting.popleft())
            yield [(tile, pixels.result()) for tile, pixels in taken]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
