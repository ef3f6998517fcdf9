from __future__ import annotations

import sys
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.finetune.inputs import require_once


def test_a_folder_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    require_once([(tmp_path / "a", "val"), (tmp_path / "a", "train"), (tmp_path / "b", "val")])
    with pytest.raises(UserError, match="is given twice to learn from"):
        require_once([(tmp_path / "a", "val"), (tmp_path / "b" / ".." / "a", "val")])


@pytest.mark.skipif(sys.platform == "win32", reason="there a folder in use cannot be removed")
def test_paths_are_compared_also_where_the_current_folder_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    require_once([(Path("a.muse"),), (Path("b.muse"),)])
    with pytest.raises(UserError, match=r"a\.muse is given twice"):
        require_once([(Path("a.muse"),), (Path("a.muse"),)])
