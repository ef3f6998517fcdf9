"""A slide that closes its file while it is not used opens it anew after an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from muse_core.errors import UserError
from muse_core.slides import Slide, open_slide, resting_slide


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (600, 600, 3), np.uint8)
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), compression="zlib")
    return path


@pytest.fixture
def slide(path: Path) -> Iterator[Slide]:
    with resting_slide(partial(open_slide, path)) as opened:
        yield opened


def _pixels(slide: Slide) -> list[int]:
    found: list[int] = slide.levels[0][300:304, 300].compute().ravel().tolist()
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="it replaces an open file by its number")
def test_what_was_open_is_opened_anew_when_its_share_is_back(slide: Slide, path: Path) -> None:
    wanted = tifffile.imread(path)[300:304, 300].ravel().tolist()
    (number,) = {f.fd for f in psutil.Process().open_files() if f.path == str(path.resolve())}
    folder = os.open(path.parent, os.O_RDONLY)
    # As after a lost connection, reading fails whatever lies at the path by now.
    os.dup2(folder, number)
    os.close(folder)
    with pytest.raises(UserError, match=r"slide\.tif cannot be read any more .*still connected"):
        _pixels(slide)
    assert _pixels(slide) == wanted


def test_what_was_cut_off_is_read_when_it_is_there_again(slide: Slide, path: Path) -> None:
    wanted, content = tifffile.imread(path)[300:304, 300].ravel().tolist(), path.read_bytes()
    os.truncate(path, 4000)
    for _ in range(2):
        with pytest.raises(UserError, match=r"slide\.tif"):
            _pixels(slide)
    path.write_bytes(content)
    assert _pixels(slide) == wanted
