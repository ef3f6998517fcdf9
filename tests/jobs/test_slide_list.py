"""Slides that a command names, and the scales of lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.jobs.slide_list import ListedSlide, listed_slides

from ..job_inputs import write_slide


def test_a_slide_that_is_named_twice_has_one_scale(tmp_path: Path) -> None:
    folder, listed = tmp_path / "a", tmp_path / "list.csv"
    folder.mkdir()
    one = write_slide(folder / "one.png", 64, 64)
    listed.write_text(f"slide,mpp\n{one},\n{folder}/../a/one.png,0.25\n{one},0.25\n")
    for given in ([listed], [one, listed], [listed, folder]):
        assert listed_slides(list(map(str, given)))[0] == ListedSlide(str(one), 0.25)
    listed.write_text(f"slide,mpp\n{one},0.25\n{one},0.5\n")
    with pytest.raises(UserError, match=r"one\.png is listed with two scales, 0\.25 and 0\.5"):
        listed_slides([str(listed)])
