"""Slides that a command names, and the scales of lists."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.jobs.slide_list import ListedSlide, listed_slides
from muse_core.slides.dicom_series import only_slide

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


def test_home_in_a_list_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    listed = tmp_path / "lists" / "list.csv"
    for path in (tmp_path / "one.png", listed.parent / "~" / "two.png"):
        path.parent.mkdir(exist_ok=True, parents=True)
        write_slide(path, 64, 64)
    listed.write_text("slide\n~/one.png\n~/two.png\n")
    found = [Path(slide.path) for slide in listed_slides([str(listed)])]
    assert found == [tmp_path / "one.png", listed.parent / "~" / "two.png"]


def _element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """An element of DICOM in explicit little-endian encoding; of a sequence its end is a mark."""
    head = struct.pack("<HH2s", group, number, kind)
    if kind == b"SQ":
        item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + value
        ends = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        return head + struct.pack("<2xI", 0xFFFFFFFF) + item + ends
    return head + struct.pack("<H", len(value)) + value


def _write_dicom(path: Path, series: bytes, pixels: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    other = _element(0x0020, 0x000E, b"UI", b"1.2.9999")
    path.write_bytes(
        bytes(128)
        + b"DICM"
        + _element(0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.4.50")
        + _element(0x0008, 0x1115, b"SQ", _element(0x0040, 0xA730, b"SQ", other) + other)
        + _element(0x0010, 0x0010, b"PN", b"a^b ")
        + _element(0x0020, 0x000D, b"UI", b"1.2.3\0")
        + _element(0x0020, 0x000E, b"UI", series)
        + _element(0x0028, 0x0010, b"US", bytes(2))
        + bytes(pixels)
    )


def test_files_of_one_series_of_dicom_are_one_slide(tmp_path: Path) -> None:
    for pixels, name in enumerate(("label.dcm", "level-1.DCM", "level-0.dcm")):
        _write_dicom(tmp_path / "a" / name, b"1.2.3.10", pixels)
    _write_dicom(tmp_path / "a" / "other.dcm", b"1.2.3.11")
    # The series is that of a copy elsewhere too, which is a slide of its own.
    _write_dicom(tmp_path / "b" / "level-0.dcm", b"1.2.3.10")
    for name in ("cut.dcm", "none.dcm"):
        (tmp_path / "b" / name).write_bytes((bytes(128) + b"DICM\2\0\x10") * (name == "cut.dcm"))
    found = [Path(slide.path) for slide in listed_slides([str(tmp_path)])]
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [
        *("a/level-0.dcm", "a/other.dcm"),
        *("b/cut.dcm", "b/level-0.dcm", "b/none.dcm"),
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_folders_behind_links_are_looked_into_once(tmp_path: Path) -> None:
    for name in ("cohort/1/a.png", "elsewhere/b.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        write_slide(tmp_path / name, 16, 16)
    (tmp_path / "cohort" / "2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "cohort" / "3").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path / "cohort")
    (tmp_path / "cohort" / "1" / "self").symlink_to(".")
    found = [Path(slide.path) for slide in listed_slides([str(tmp_path / "cohort")])]
    assert [path.relative_to(tmp_path / "cohort").as_posix() for path in found] == [
        "1/a.png",
        "2/b.png",
    ]


def test_a_folder_of_one_series_is_a_slide_whatever_a_mac_leaves_there(tmp_path: Path) -> None:
    assert only_slide(tmp_path) is None
    for pixels, name in enumerate(("level-1.dcm", "level-0.DCM")):
        _write_dicom(tmp_path / name, b"1.2.3.10", pixels)
        (tmp_path / f"._{name}").write_bytes(b"\0\5\x16\7")
    assert only_slide(tmp_path) == tmp_path / "level-0.DCM"
    _write_dicom(tmp_path / "other.dcm", b"1.2.3.11")
    assert only_slide(tmp_path) is None


def test_pictures_that_a_slide_of_hamamatsu_consists_of_are_no_slides(tmp_path: Path) -> None:
    names = ("s - 2010(1,0).jpg", "s - 2010.jpg", "s - 2010_map2.jpg", "photo.jpg")
    for name in names:
        write_slide(tmp_path / name, 16, 16)
    lines = ["[Virtual Microscope Specimen]", "NoLayers=1"]
    lines += [f"ImageFile={names[1]}", f"ImageFile(1,0)={names[0]}", f"MapFile={names[2]}"]
    (tmp_path / "s.vms").write_text("\r\n".join(lines))
    found = listed_slides([str(tmp_path)])
    assert [Path(slide.path).name for slide in found] == ["photo.jpg", "s.vms"]
