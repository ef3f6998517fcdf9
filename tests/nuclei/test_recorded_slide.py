from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from muse_core.nuclei import ClassScheme
from muse_core.nuclei.recorded_slide import RecordedSlide
from muse_core.nuclei.store import StorePlace, identify_slide

A = RecordedSlide("a.svs", "sha256:00")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (RecordedSlide("renamed.svs", "sha256:00"), ""),
        (RecordedSlide("a.svs", "sha256:00#plane=3"), ""),
        (RecordedSlide("b.svs", "sha256:01"), "of the slide a.svs, and not of b.svs"),
        (RecordedSlide("a.svs", "sha256:01"), "of another slide of the same name, a.svs"),
        (RecordedSlide("a.svs", "sha256:00#image=2&plane=3"), "of another image of a.svs"),
    ],
)
def test_slides_are_told_apart_by_content_and_image(other: RecordedSlide, why: str) -> None:
    assert A.told_from(other).startswith(why)
    assert bool(A.told_from(other)) is bool(why)


def test_of_a_slide(tmp_path: Path) -> None:
    first, second = tmp_path / "first.tif", tmp_path / "second.tif"
    first.write_bytes(b"pixels")
    shutil.copy(first, second)
    one, same = (identify_slide(path).recorded for path in (first, second))
    assert not one.told_from(same)
    assert one.content.startswith("sha256:")
    assert len(one.content) == len("sha256:") + 16
    assert identify_slide(first, "image=2").recorded.content == f"{one.content}#image=2"
    second.write_bytes(b"others")
    assert one.told_from(identify_slide(second).recorded)


def test_a_slide_whose_name_is_no_text_keeps_annotations(tmp_path: Path) -> None:
    slide = tmp_path / os.fsdecode(b"Sch\xe4del.tif")
    try:
        slide.write_bytes(b"pixels")
    except OSError:
        pytest.skip("file names are texts here")
    with StorePlace(slide).create(ClassScheme.from_names(["a", "b"])) as store:
        store.add(1, 2, "a")
    opened = StorePlace(slide).open()
    assert opened is not None
    with opened:
        assert opened.slide.recorded.name == "Sch?del.tif"
        assert len(opened.nuclei()) == 1
