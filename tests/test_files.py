from __future__ import annotations

import errno
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.files import make_folder, replacing


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    for text in ("one", "two"):
        with replacing(target) as partial:
            partial.write_text(text)
        assert target.read_text() == text
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.zarr"
    for name in ("one", "two"):
        with replacing(target) as partial:
            partial.mkdir()
            (partial / name).touch()
        assert [p.name for p in target.iterdir()] == [name]
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def _rewrite(target: Path) -> None:
    with replacing(target) as partial:
        partial.mkdir()
        (partial / "new").touch()


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    target = tmp_path / "a.zarr"
    target.mkdir()
    (target / "old").touch()
    return target


def test_a_folder_whose_place_cannot_be_taken_stays(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse_the_new_one(self: Path, target: Path) -> Path:
        if self.suffix == ".partial":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with pytest.raises(UserError, match="Cannot write"):
        _rewrite(old_folder)
    assert [p.name for p in old_folder.iterdir()] == ["old"]
    assert [p.name for p in old_folder.parent.iterdir()] == ["a.zarr"]


def test_the_old_folder_is_deleted_only_once_the_new_one_is_there(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        assert (old_folder / "new").exists()
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("muse_core.files.shutil.rmtree", fail)
    _rewrite(old_folder)
    assert [p.name for p in old_folder.iterdir()] == ["new"]


def test_a_folder_takes_the_place_of_a_link_not_of_what_it_points_to(
    old_folder: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.zarr"
    link.symlink_to(old_folder)
    _rewrite(link)
    assert not link.is_symlink()
    assert (old_folder / "old").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "link.zarr"]


def test_what_fails_leaves_the_old_file_and_no_partial_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail_half_way() -> None:
        with replacing(target) as partial:
            partial.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_half_way()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_what_cannot_be_written_gets_a_sentence(tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "missing" / "a.txt") as partial:
            partial.write_text("new")

    with pytest.raises(UserError, match=r"Cannot write .*a\.txt: No such file"):
        write()


def test_the_sentence_is_the_systems_not_that_of_a_library(tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "a.txt") as partial:
            raise OSError(errno.ENOENT, f"unable to create file (name = {partial}, flags = 13)")

    with pytest.raises(UserError, match=r"^Cannot write \S*a\.txt: No such file or directory\.$"):
        write()


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "work").touch()

    def write() -> None:
        with replacing(target) as partial:
            partial.write_text("new")

    with pytest.raises(UserError, match="Cannot write"):
        write()
    assert (target / "work").exists()


def test_a_folder_is_made_with_those_above_it_and_may_be_there(tmp_path: Path) -> None:
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_cannot_be_made_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^Cannot write .*file: .+\.$"):
        make_folder(tmp_path / "file")
