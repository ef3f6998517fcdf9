"""One real image, from which the tests write slides in every format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from muse_core.slides import open_slide

from .slide_server import SlideServer, slide_server


@pytest.fixture(scope="session")
def picture(cmu_slide: Path) -> np.ndarray:
    """700 x 600 px of real tissue and glass, uint8 RGB."""
    with open_slide(cmu_slide) as slide:
        result: np.ndarray = slide.levels[0][1200:1900, 700:1300].compute()
        return result


@pytest.fixture(scope="session")
def halves(picture: np.ndarray) -> list[np.ndarray]:
    """The image and its downsampled copies, as a scanner would store them."""
    height, width = picture.shape[:2]
    return [
        np.asarray(Image.fromarray(picture).resize((width // d, height // d), Image.Resampling.BOX))
        for d in (1, 2, 4)
    ]


@pytest.fixture(scope="module")
def left(picture: np.ndarray) -> np.ndarray:
    """512 x 384 px."""
    return np.ascontiguousarray(picture[:384, :512])


@pytest.fixture(scope="module")
def right(picture: np.ndarray) -> np.ndarray:
    """Other tissue, 256 x 192 px: half the size, like a level of the first."""
    return np.ascontiguousarray(picture[500:692, 300:556])


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlideServer]:
    """A server of the module's folder, which is asked again without a pause."""
    for name in ("muse_core.files.remote", "muse_core.slides.ome_zarr.remote_store"):
        monkeypatch.setattr(f"{name}.RETRY_AFTER_S", (0.0,))
    with slide_server(folder) as state:
        yield state
