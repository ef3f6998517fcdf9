from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from muse_core.errors import UserError
from napari_muse.io import sample


def test_a_cached_sample_is_used(
    cmu_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_SAMPLE_DIR", str(tmp_path))
    target = tmp_path / "CMU-1-Small-Region.svs"
    shutil.copyfile(cmu_slide, target)
    assert sample.sample_slide_path() == target


def test_a_damaged_sample_is_not_used_and_no_source_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_SAMPLE_DIR", str(tmp_path))
    # No index and no site: pip and urllib are pointed at a port where nobody listens.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setattr(sample, "_URL", "http://127.0.0.1:9/slide.svs")
    (tmp_path / "CMU-1-Small-Region.svs").write_bytes(b"damaged")
    with pytest.raises(UserError, match="could not be fetched"):
        sample.sample_slide_path()
    assert [p.name for p in tmp_path.iterdir()] == ["CMU-1-Small-Region.svs"]
