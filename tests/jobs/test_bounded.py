"""Memory does not grow with the slide: detected nuclei wait on disk."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "large_slide.py"


def peaks(side: int, nuclei: int, *more: str) -> dict[str, Any]:
    """Peak memory for a quarter and for the whole of a synthetic slide."""
    command = [sys.executable, BENCHMARK, "--side", side, "--nuclei", nuclei, "--json", *more]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check(found: dict[str, Any], nuclei: int) -> None:
    quarter, whole = found["quarter"], found["whole"]
    assert whole["nuclei"] > nuclei
    assert whole["nuclei"] == pytest.approx(4 * quarter["nuclei"], rel=0.1)
    assert whole["peak_rss_mb"] <= 1200
    assert whole["peak_rss_mb"] <= 1.05 * quarter["peak_rss_mb"]


@pytest.mark.slow
def test_a_small_slide() -> None:
    # Decoded wholly, tiles of a quarter fill the cache of them; both have tiles of the same size,
    # and many, for memory is kept from one for the next.
    check(peaks(13_440, 20_000, "--no-half-jpeg", "--tile-px", "736"), 10_000)


@pytest.mark.slow
def test_a_slide_of_ten_thousand_million_pixels() -> None:
    check(peaks(100_000, 1_800_000), 1_000_000)


def test_the_made_slide_is_one_that_other_programs_read(tmp_path: Path) -> None:
    import tifffile

    spec = importlib.util.spec_from_file_location("large_slide", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_large_slide(tmp_path / "s.tiff", 3000)
    with tifffile.TiffFile(tmp_path / "s.tiff") as tif:
        assert [page.shape for page in tif.pages] == [
            (3000, 3000, 3),
            (750, 750, 3),
        ]
        assert tif.pages[1].asarray().shape == (750, 750, 3)
