"""Sets of the bundled models' recipe that hold too little."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from muse_core.errors import UserError

from ..job_inputs import write_points_folder

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))

import label_sets as recipe


def test_a_set_too_small_for_a_mosaic_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = next(public for public in recipe.SETS.values() if public.mosaic == 3)
    write_points_folder(tmp_path / "tiny")
    monkeypatch.setattr(recipe, "SETS", {"tiny": replace(joined, folder="tiny")})
    with pytest.raises(UserError, match=r"tiny holds \d images of at least .*; 9 are needed\.$"):
        recipe.prepare(tmp_path, tmp_path / "work")
