from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from muse_core.errors import UserError
from muse_core.slides import Region, open_slide

from ..slide_files import write_ndpi, write_ome_tiff, write_pyramid_tiff, write_scn


def test_real_svs(cmu_slide: Path) -> None:
    with open_slide(cmu_slide) as slide:
        assert slide.format == "Aperio SVS"
        assert (slide.width, slide.height) == (2220, 2967)
        assert slide.mpp == 0.499
        assert slide.associated == ("thumbnail", "label", "macro")
        assert slide.levels[0].shape == (2967, 2220, 3)
        with tifffile.TiffFile(cmu_slide) as tif:
            assert np.array_equal(slide.read(slide.bounds), tif.pages[0].asarray())


def test_real_pyramid_without_scale(muse_data: Path) -> None:
    with open_slide(muse_data / "slides" / "pyramid-no-mpp.tiff") as slide:
        assert slide.format == "TIFF pyramid"
        assert slide.mpp is None
        assert slide.downsamples == (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
        fine = slide.read(Region(640, 640, 1280, 1280)).mean(axis=2)
        means = fine.reshape(80, 16, 80, 16).mean(axis=(1, 3))
        coarse = slide.levels[4].compute().mean(axis=2)
    # The stored level shows the same place: shifted by a pixel it fits much worse.
    errors = {
        (dy, dx): np.abs(means - coarse[40 + dy : 120 + dy, 40 + dx : 120 + dx]).mean()
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    }
    here = errors.pop((0, 0))
    assert here * 2 < min(errors.values())


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg", "jpeg2000", "deflate"])
def test_compressions(tmp_path: Path, halves: list[np.ndarray], compression: str | None) -> None:
    path = write_pyramid_tiff(tmp_path / "p.tif", halves, compression=compression)
    with open_slide(path) as slide, tifffile.TiffFile(path) as tif:
        assert slide.downsamples == (1.0, 2.0, 4.0)
        for level, page in zip(slide.levels, tif.pages, strict=True):
            assert np.array_equal(level.compute(), page.asarray())


@pytest.mark.parametrize("rows", [None, 16, 699])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_strips(
    tmp_path: Path, picture: np.ndarray, rows: int | None, compression: str | None
) -> None:
    path = tmp_path / "strips.tif"
    tifffile.imwrite(
        path, picture, photometric="rgb", rowsperstrip=rows, compression=compression, metadata=None
    )
    with open_slide(path) as slide:
        assert slide.format == "TIFF"
        assert np.array_equal(slide.read(slide.bounds), picture)


def test_sub_ifds_without_ome(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = tmp_path / "sub.tif"
    with tifffile.TiffWriter(path) as tif:
        options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb", "metadata": None}
        tif.write(halves[0], subifds=2, **options)
        for level in halves[1:]:
            tif.write(level, subfiletype=1, **options)
    with open_slide(path) as slide:
        assert slide.downsamples == (1.0, 2.0, 4.0)
        assert np.array_equal(slide.levels[2].compute(), halves[2])


def test_ome_tiff(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = write_ome_tiff(
        tmp_path / "a.ome.tif",
        halves,
        PhysicalSizeX=252.0,
        PhysicalSizeXUnit="nm",
        PhysicalSizeY=0.252,
        PhysicalSizeYUnit="\N{MICRO SIGN}m",
    )
    with open_slide(path) as slide:
        assert slide.format == "OME-TIFF"
        assert slide.mpp == pytest.approx(0.252)
        assert slide.downsamples == (1.0, 2.0, 4.0)
        assert np.array_equal(slide.levels[1].compute(), halves[1])


def test_channels_in_separate_planes(tmp_path: Path, picture: np.ndarray) -> None:
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    path = tmp_path / "planes.tif"
    tifffile.imwrite(
        path, planes, photometric="rgb", planarconfig="separate", tile=(128, 128), metadata=None
    )
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(slide.bounds), picture)


def test_ome_tiff_with_rgb_as_three_channels(tmp_path: Path, picture: np.ndarray) -> None:
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    path = tmp_path / "planes.ome.tif"
    tifffile.imwrite(
        path, planes, photometric="minisblack", tile=(128, 128), metadata={"axes": "CYX"}, ome=True
    )
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(slide.bounds), picture)


def write_ome_plane(path: Path, plane: np.ndarray, uuid: str, files: list[tuple[str, str]]) -> None:
    """One channel; the XML gives the UUID and file of each."""
    height, width = plane.shape
    data = "".join(
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1"><UUID FileName="{name}">{one}</UUID>'
        "</TiffData>"
        for c, (one, name) in enumerate(files)
    )
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="{uuid}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
        f'Type="uint8" SizeX="{width}" SizeY="{height}" SizeC="{len(files)}" SizeZ="1" SizeT="1">'
        f"{data}</Pixels></Image></OME>"
    )
    tifffile.imwrite(path, plane, photometric="minisblack", description=xml, metadata=None)


@pytest.mark.parametrize("folder", [".", "elsewhere"])
def test_channels_in_several_files_are_refused(
    tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    names = ["c0.ome.tif", *(f"{folder}/c{i}.ome.tif" for i in (1, 2))]
    files = [(f"urn:uuid:{i}", name) for i, name in enumerate(names)]
    for i, (uuid, name) in enumerate(files):
        write_ome_plane(tmp_path / name, picture[:, :, i], uuid, files)
    opened = []
    init = tifffile.TiffFile.__init__

    def note(self: tifffile.TiffFile, file: Any, *args: Any, **kwargs: Any) -> None:
        opened.append(str(file))
        init(self, file, *args, **kwargs)

    monkeypatch.setattr(tifffile.TiffFile, "__init__", note)
    with pytest.raises(UserError, match=r"c0.ome.tif keeps its image in several files; save it"):
        open_slide(tmp_path / names[0])
    assert opened == [str(tmp_path / names[0])]


def test_planes_found_in_another_file_are_refused(
    tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a.tif", tmp_path / "b.tif"
    for path in (first, second):
        tifffile.imwrite(path, picture[:, :, 0], photometric="minisblack", tile=(128, 128))
    with tifffile.TiffFile(second) as other:
        # As tifffile does for Micro-Manager stacks.
        monkeypatch.setattr(tifffile.TiffFile, "series", other.series)
        with pytest.raises(UserError, match=r"a.tif keeps its image in several files"):
            open_slide(first)


def test_a_renamed_ome_tiff_is_whole(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "new.ome.tif"
    write_ome_plane(path, picture[:, :, 0], "urn:uuid:0", [("urn:uuid:0", "old.ome.tif")])
    with open_slide(path) as slide:
        assert slide.format == "OME-TIFF"
        assert np.array_equal(slide.levels[0][:, :, 0].compute(), picture[:, :, 0])


def test_fluorescence_is_refused(tmp_path: Path, picture: np.ndarray) -> None:
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    named, four = tmp_path / "named.ome.tif", tmp_path / "four.ome.tif"
    channels = {"axes": "CYX", "Channel": {"Name": ["DAPI", "CD3", "CD8"]}}
    tifffile.imwrite(named, planes, photometric="minisblack", metadata=channels, ome=True)
    tifffile.imwrite(
        four,
        np.concatenate([planes, planes[:1]]),
        photometric="minisblack",
        metadata={"axes": "CYX"},
        ome=True,
    )
    with pytest.raises(UserError, match=r"named.ome.tif .*DAPI.*fluorescence"):
        open_slide(named)
    with pytest.raises(UserError, match=r"four.ome.tif has 4 channels"):
        open_slide(four)


def test_padding_is_dropped_and_gray_becomes_rgb(tmp_path: Path, picture: np.ndarray) -> None:
    alpha, gray, inverted = tmp_path / "a.tif", tmp_path / "g.tif", tmp_path / "i.tif"
    rgba = np.concatenate([picture, np.zeros((*picture.shape[:2], 1), np.uint8)], axis=2)
    options: dict[str, Any] = {"tile": (128, 128), "metadata": None}
    tifffile.imwrite(alpha, rgba, photometric="rgb", extrasamples=["unspecified"], **options)
    tifffile.imwrite(gray, picture[:, :, 0], photometric="minisblack", **options)
    tifffile.imwrite(inverted, picture[:, :, 0], photometric="miniswhite", **options)
    with open_slide(alpha) as slide:
        assert np.array_equal(slide.read(slide.bounds), picture)
    with open_slide(gray) as slide:
        assert np.array_equal(slide.read(slide.bounds), np.repeat(picture[:, :, :1], 3, axis=2))
    with open_slide(inverted) as slide:
        read = slide.read(slide.bounds)
        assert np.array_equal(read, np.repeat(255 - picture[:, :, :1], 3, axis=2))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "bool", "complex64"])
def test_other_pixel_types_are_refused(tmp_path: Path, picture: np.ndarray, dtype: str) -> None:
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, picture[:, :, 0].astype(dtype), photometric="minisblack", metadata=None)
    with pytest.raises(UserError, match=r"deep.tif has \d+-bit pixels"):
        open_slide(path)


def test_other_colours_are_refused(tmp_path: Path, picture: np.ndarray) -> None:
    lab = tmp_path / "lab.tif"
    tifffile.imwrite(lab, picture, photometric="cielab", metadata=None)
    with pytest.raises(UserError, match=r"lab.tif has CIELAB colours"):
        open_slide(lab)


def test_tiles_that_were_never_scanned_are_white(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "sparse.tif"
    tiles = [picture[:128, :128], None, None, picture[128:256, 128:256]]

    def encoded() -> Iterator[Any]:
        for tile in tiles:
            yield b"" if tile is None else np.ascontiguousarray(tile).tobytes()

    tifffile.imwrite(
        path,
        encoded(),
        shape=(256, 256, 3),
        dtype="uint8",
        tile=(128, 128),
        photometric="rgb",
        metadata=None,
    )
    with open_slide(path) as slide:
        read = slide.read(slide.bounds)
    assert np.array_equal(read[:128, :128], picture[:128, :128])
    assert (read[:128, 128:] == 255).all()
    assert (read[128:, :128] == 255).all()


def test_scn(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = write_scn(tmp_path / "s.scn", halves, macro=halves[2], mpp=0.5)
    with open_slide(path) as slide:
        assert slide.format == "Leica SCN"
        assert slide.mpp == pytest.approx(0.5)
        assert slide.downsamples == (1.0, 2.0, 4.0)
        assert slide.associated == ("macro",)
        assert np.array_equal(slide.levels[1].compute(), halves[1])


def test_ndpi(tmp_path: Path, picture: np.ndarray) -> None:
    # Restart markers are every 64 px, so the width is a multiple of that.
    base = np.ascontiguousarray(picture[:640, :512])
    half = np.ascontiguousarray(picture[:320, :256])
    path = write_ndpi(tmp_path / "n.ndpi", [base, half], mpp=0.25)
    with open_slide(path) as slide:
        assert slide.format == "Hamamatsu NDPI"
        assert slide.mpp == pytest.approx(0.25)
        assert slide.downsamples == (1.0, 2.0)
        for level, stored in zip(slide.levels, (base, half), strict=True):
            error = np.abs(level.compute().astype(int) - stored)
            assert error.mean() < 3.0
            assert np.percentile(error, 99) < 20


@pytest.mark.parametrize("tiled", [True, False])
def test_a_file_whose_pixels_were_never_written_is_incomplete(tmp_path: Path, tiled: bool) -> None:
    """As libvips leaves it if its libtiff lacks the compression."""
    path = tmp_path / "s.tif"
    pixels = np.zeros((256, 256, 3), np.uint8)
    layout: dict[str, Any] = {"tile": (128, 128)} if tiled else {"rowsperstrip": 128}
    tifffile.imwrite(path, pixels, photometric="rgb", compression="zlib", **layout)
    with tifffile.TiffFile(path, mode="r+") as tif:
        counts = tif.pages[0].tags["TileByteCounts" if tiled else "StripByteCounts"]
        counts.overwrite((*counts.value[:1], *[0] * (counts.count - 1)))
    with open_slide(path) as slide:
        assert slide.levels[0].shape == (256, 256, 3)
    with tifffile.TiffFile(path, mode="r+") as tif:
        counts = tif.pages[0].tags["TileByteCounts" if tiled else "StripByteCounts"]
        counts.overwrite([0] * counts.count)
    with pytest.raises(UserError, match=r"^s\.tif is incomplete: it has metadata but no pixels\.$"):
        open_slide(path)
