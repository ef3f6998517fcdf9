"""Every bad file ends in one message that names it: never a traceback, never black pixels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from muse_core.errors import UserError
from muse_core.nuclei import ClassScheme
from muse_core.nuclei.store import AnnotationStore, SlideIdentity
from muse_core.slides import can_open, open_slide

from .slide_files import write_pyramid_tiff


def open_and_read(path: Path) -> None:
    """Use a file as a user does; each level is read completely."""
    with open_slide(path) as slide:
        slide.read(slide.bounds)
        for level in slide.levels:
            level.compute(scheduler="synchronous")


def assert_refused(path: Path, match: str | None = None) -> None:
    with pytest.raises(UserError, match=match) as caught:
        open_and_read(path)
    message = str(caught.value)
    assert path.name in message
    assert message.endswith(".")
    assert "\n" not in message


@pytest.fixture(scope="module")
def good_files(
    tmp_path_factory: pytest.TempPathFactory,
    cmu_slide: Path,
    muse_data: Path,
    halves: list[np.ndarray],
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("good")
    files = {
        "real.svs": cmu_slide,
        "real.tiff": muse_data / "slides" / "pyramid-no-mpp.tiff",
        "real.jpeg": muse_data / "unlabeled" / "prostate_slide.jpeg",
        "real.png": muse_data / "unlabeled" / "tiatoolbox_target.png",
        "zlib.tif": write_pyramid_tiff(folder / "zlib.tif", halves, compression="zlib"),
        "raw.tif": write_pyramid_tiff(folder / "raw.tif", halves),
    }
    tifffile.imwrite(folder / "mapped.tif", halves[0], photometric="rgb", metadata=None)
    return files | {"mapped.tif": folder / "mapped.tif"}


NAMES = ["real.svs", "real.tiff", "real.jpeg", "real.png", "zlib.tif", "raw.tif", "mapped.tif"]


@pytest.mark.parametrize("name", NAMES)
def test_good_ones_are_read(good_files: dict[str, Path], name: Any) -> None:
    open_and_read(good_files[name])


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("name", NAMES)
def test_truncated(good_files: dict[str, Path], tmp_path: Path, name: Any, share: float) -> None:
    data = good_files[name].read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    assert_refused(path)


@pytest.mark.parametrize("suffix", ["svs", "tif", "ndpi", "scn", "png", "jpg"])
def test_empty_text_and_noise(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(b"")
    assert_refused(path, r"empty \(0 bytes\)")
    path.write_text("This is a shopping list: milk, eggs, formalin.\n" * 50)
    assert_refused(path)
    path.write_bytes(np.random.default_rng(0).bytes(20_000))
    assert_refused(path)
    path.write_bytes(b"II*\x00" + np.random.default_rng(0).bytes(20_000))
    assert_refused(path)


def test_missing_folder_and_unknown_ending(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file .*nowhere.svs"):
        open_slide(tmp_path / "nowhere.svs")
    (tmp_path / "folder.svs").mkdir()
    assert_refused(tmp_path / "folder.svs", "is a folder")
    (tmp_path / "notes.txt").write_text("x")
    assert_refused(tmp_path / "notes.txt", r"no known slide format; known endings are .svs")
    unnamed = tmp_path / "no_ending"
    unnamed.write_text("x")
    assert_refused(unnamed)


def test_the_overview_of_an_olympus_slide_is_not_taken_for_the_slide(
    tmp_path: Path, picture: np.ndarray
) -> None:
    tifffile.imwrite(tmp_path / "s.vsi", picture, photometric="rgb")
    assert_refused(tmp_path / "s.vsi", "is a slide of Olympus, which cannot be read; save it as")


def test_nothing_is_left_beside_annotations_that_are_taken_for_a_slide(tmp_path: Path) -> None:
    path = tmp_path / "s.muse"
    identity = SlideIdentity("s.svs", 1, "a")
    AnnotationStore.create(path, identity, ClassScheme.from_names(["tumor"])).close()
    before = sorted(tmp_path.iterdir())
    assert_refused(path, "is a database, as annotations are, and no slide")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["real.svs", "real.png", "raw.tif"])
def test_what_may_not_be_read_is_not_called_damaged(
    good_files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(self: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    # Root, as which tests may run, can read all files.
    monkeypatch.setattr(Path, "open", refuse)
    assert_refused(good_files[name], "may not be read: Permission denied")


def test_a_zarr_folder_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "s.zarr").mkdir()
    monkeypatch.setattr("muse_core.slides.ome_zarr.reader.zarr.open_group", refuse)
    assert_refused(tmp_path / "s.zarr", "may not be read: Permission denied")


def test_a_jpeg_tile_that_is_no_jpeg(good_files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "hole.svs"
    shutil.copyfile(good_files["real.svs"], path)
    with tifffile.TiffFile(path) as tif:
        offset, count = tif.pages[0].dataoffsets[40], tif.pages[0].databytecounts[40]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(count))
    assert_refused(path, r"damaged or truncated")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tag", ["ImageWidth", "TileWidth", "TileOffsets", "BitsPerSample"])
def test_lying_directories(
    tmp_path: Path, picture: np.ndarray, compression: str | None, tag: str
) -> None:
    path = tmp_path / "liar.tif"
    tifffile.imwrite(
        path, picture, tile=(128, 128), photometric="rgb", compression=compression, metadata=None
    )
    value = {"ImageWidth": 10**9, "TileWidth": 2**30, "TileOffsets": 2**31, "BitsPerSample": 7}[tag]
    with tifffile.TiffFile(path, mode="r+") as tif:
        found = tif.pages[0].tags[tag]
        values = (value,) * found.count
        dtype = "I" if tag != "BitsPerSample" else "H"
        found.overwrite(values if found.count > 1 else value, dtype=dtype)
    assert_refused(path)


def test_claimed_sizes_are_not_allocated(tmp_path: Path) -> None:
    """A header of a few bytes that claims 10^9 x 10^9 pixels in one strip."""
    import struct

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, count, value)

    entries = [
        entry(256, 4, 1, 10**9),  # ImageWidth
        entry(257, 4, 1, 10**9),  # ImageLength
        entry(258, 3, 1, 8),  # BitsPerSample
        entry(259, 3, 1, 1),  # Compression: none
        entry(262, 3, 1, 1),  # Photometric: MinIsBlack
        entry(273, 4, 1, 8),  # StripOffsets
        entry(277, 3, 1, 1),  # SamplesPerPixel
        entry(278, 4, 1, 10**9),  # RowsPerStrip
        entry(279, 4, 1, 100),  # StripByteCounts
    ]
    path = tmp_path / "huge.tif"
    body = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0)
    path.write_bytes(b"II*\x00" + struct.pack("<I", 8) + body + bytes(200))
    assert_refused(path, r"impossible size of 1000000000 x 1000000000")


def test_one_compressed_strip_too_large_to_decode(tmp_path: Path) -> None:
    path = tmp_path / "strip.tif"
    shape = (12_000, 12_000)
    tifffile.imwrite(
        path,
        iter([b"x" * 100]),
        shape=shape,
        dtype="uint8",
        rowsperstrip=12_000,
        compression="zlib",
        photometric="minisblack",
        metadata=None,
    )
    assert_refused(path, "too large to decode; save it with tiles")


def test_can_open_goes_by_the_name() -> None:
    assert can_open("a/b/Slide.SVS")
    assert can_open(Path("x.ome.tif"))
    assert can_open("folder.ome.zarr")
    assert can_open("x.mrxs")
    assert not can_open("nuclei.csv")
    assert not can_open("folder")


def test_unreadable_image_is_not_black(tmp_path: Path, picture: np.ndarray) -> None:
    """Pillow could return gray for the rest of a half JPEG and black for that of a half PNG."""
    for suffix in ("png", "jpg"):
        path = tmp_path / f"half.{suffix}"
        Image.fromarray(picture).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert_refused(path, "damaged or truncated")
