from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.nuclei.store import identify_slide


def test_a_moved_and_renamed_file_is_the_same_slide(tmp_path: Path) -> None:
    first, second = tmp_path / "a.svs", tmp_path / "b.svs"
    content = bytes(range(256)) * 20_000
    first.write_bytes(content)
    second.write_bytes(content)
    assert identify_slide(first).same_content(identify_slide(second))
    assert identify_slide(first).name == "a.svs"


@pytest.mark.parametrize("position", [0, 2_560_000, 5_119_999])
def test_another_content_of_the_same_size_is_another_slide(tmp_path: Path, position: int) -> None:
    first, second = tmp_path / "a.svs", tmp_path / "b.svs"
    content = bytearray(bytes(range(256)) * 20_000)
    first.write_bytes(content)
    content[position] ^= 255
    second.write_bytes(content)
    assert not identify_slide(first).same_content(identify_slide(second))


def test_folders_have_an_identity_too(tmp_path: Path) -> None:
    for name, text in (("a.zarr", "1"), ("b.zarr", "1"), ("c.zarr", "2")):
        (tmp_path / name / "0").mkdir(parents=True)
        (tmp_path / name / ".zattrs").write_text(text)
        (tmp_path / name / "0" / "0.0").write_bytes(b"chunk")
    a, b, c = (identify_slide(tmp_path / n) for n in ("a.zarr", "b.zarr", "c.zarr"))
    assert a.same_content(b)
    assert not a.same_content(c)


def test_a_folder_has_the_same_identity_on_every_system(tmp_path: Path) -> None:
    """Windows orders paths without case."""
    digest = hashlib.sha256()
    for name in ("OME/x", "images/0", "images/0.1", "images/A/0"):
        path = tmp_path / "a.zarr" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12")
        digest.update(f"{name}:2".encode())
    digest.update(b"8")
    assert identify_slide(tmp_path / "a.zarr").fingerprint == digest.hexdigest()


def test_what_file_managers_leave_in_a_folder_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    (folder / "0").mkdir(parents=True)
    (folder / ".zattrs").write_text("{}")
    (folder / "0" / "0.0").write_bytes(b"chunk")
    clean = identify_slide(folder)
    assert clean.size_bytes == 7
    # As written into stores by this and earlier versions.
    assert clean.fingerprint.startswith("1ee09aa1061b8314")
    for name in (".DS_Store", "Thumbs.db", "0/desktop.ini", "0/._0.0"):
        (folder / name).write_text("icons")
    assert identify_slide(folder) == clean


def test_a_missing_slide_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot read"):
        identify_slide(tmp_path / "none.svs")
