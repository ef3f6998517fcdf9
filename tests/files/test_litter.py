from __future__ import annotations

from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.files import entries, is_litter, tree

LITTER = (
    "._a.png",
    ".DS_Store",
    "Thumbs.db",
    "thumbs.db",
    "Desktop.ini",
    "ehthumbs.db",
    "~$a.csv",
    ".~lock.a.csv#",
    "@eaDir",
    "a.png@SynoEAStream",
    "#recycle",
    "@Recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "__MACOSX",
    ".Trash-1000",
    ".Trashes",
    ".Spotlight-V100",
    ".fseventsd",
    ".AppleDouble",
    ".nfs000000000123",
    ".fuse_hidden0000001",
    ".directory",
    "Icon\r",
)
OURS = (
    ".zarray",
    ".zattrs",
    "zarr.json",
    "a.png",
    "_a.png",
    "a~b.csv",
    ".hidden.png",
    "thumbs.csv",
)


@pytest.mark.parametrize("name", LITTER)
def test_what_programs_leave_is_litter(name: str) -> None:
    assert is_litter(name)


@pytest.mark.parametrize("name", OURS)
def test_what_people_and_slides_have_is_not(name: str) -> None:
    assert not is_litter(name)


def test_folders_are_listed_without_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "@eaDir", tmp_path / "deep" / "er"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("b.png", "a.png", "._a.png", ".DS_Store"):
            (folder / name).touch()
    assert [p.name for p in entries(tmp_path)] == ["a.png", "b.png", "deep"]
    assert [p.name for p in entries(tmp_path, "b*")] == ["b.png"]
    names = [p.relative_to(tmp_path).as_posix() for p in tree(tmp_path)]
    assert names == ["a.png", "b.png", "deep/er/a.png", "deep/er/b.png"]


def test_the_order_is_the_same_on_every_system(tmp_path: Path) -> None:
    for name in ("b", "C", "a"):
        (tmp_path / name).touch()
    assert [p.name for p in entries(tmp_path)] == ["C", "a", "b"]


def test_what_cannot_be_listed_gets_a_sentence(tmp_path: Path) -> None:
    for listing in (entries, lambda folder: list(tree(folder))):
        with pytest.raises(UserError, match=r"Cannot read .*missing: .+\."):
            listing(tmp_path / "missing")
