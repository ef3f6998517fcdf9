"""Threads that read a slide ahead."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from muse_core.processor import usable_cores
from muse_core.slides import Region, open_slide
from muse_core.slides.readable import ReadablePixels, read_readable
from muse_core.slides.reading_ahead import Ahead, read_ahead, usual_readers

from .slide_files import write_pyramid_tiff
from .slide_server import slide_server


def test_more_threads_wait_for_a_server_than_there_are_cores(tmp_path: Path) -> None:
    write_pyramid_tiff(tmp_path / "s.tiff", [np.full((256, 256, 3), 200, np.uint8)])
    with open_slide(tmp_path / "s.tiff", mpp=0.5) as slide:
        assert usual_readers(slide) == min(8, usable_cores())
    with slide_server(tmp_path) as server, open_slide(f"{server.address}/s.tiff", mpp=0.5) as slide:
        assert usual_readers(slide) == 8


def test_as_many_tiles_are_read_at_a_time_as_there_are_threads(tmp_path: Path) -> None:
    write_pyramid_tiff(tmp_path / "s.tiff", [np.full((256, 256, 3), 200, np.uint8)])
    together = threading.Barrier(5, timeout=60)
    with open_slide(tmp_path / "s.tiff", mpp=0.5) as slide:

        def read(x_px: int) -> ReadablePixels:
            together.wait()
            return read_readable(slide, Region(x_px, 0, 16, 16), 0.5)

        batches = read_ahead(range(0, 160, 16), read, Ahead(1, 5), lambda: False)
        assert [tile for batch in batches for tile, _ in batch] == list(range(0, 160, 16))
