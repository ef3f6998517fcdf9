"""Where the tests find real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def muse_data() -> Path:
    """Folder of real tiles and slides; the tests that need it skip where it is not at hand."""
    folder = Path(os.environ.get("MUSE_DATA", _REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set MUSE_DATA")
    return folder


@pytest.fixture(scope="session")
def cmu_slide(muse_data: Path) -> Path:
    """A real Aperio SVS, 2220 x 2967 px at 0.499 um/px."""
    return muse_data / "slides" / "CMU-1-Small-Region.svs"
