"""Focal planes, times and channels: which is shown, and how another is selected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from muse_core.errors import UserError
from muse_core.slides import ImageChoice, open_slide
from muse_core.slides.images import pick_plane

from .image_files import PLAIN, Pixels, pixels_of, smaller
from .slide_files import write_ndpi


@pytest.fixture(scope="module")
def stack(left: Pixels) -> Pixels:
    """(5, y, x, 3): every plane differs."""
    return np.stack([np.roll(left, 7 * i, axis=1) for i in range(5)])


def write_stack(path: Path, stack: Pixels, how: str) -> Path:
    if how == "ome":
        tifffile.imwrite(path, stack, **PLAIN | {"metadata": {"axes": "ZYXS"}}, ome=True)
    elif how == "ome time":
        tifffile.imwrite(path, stack, photometric="rgb", metadata={"axes": "TYXS"}, ome=True)
    elif how == "ome planar":
        planes = np.ascontiguousarray(stack.transpose(0, 3, 1, 2))
        metadata = {"axes": "ZCYX"}
        tifffile.imwrite(path, planes, photometric="minisblack", metadata=metadata, ome=True)
    elif how == "imagej":
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYXS"})
    elif how == "shaped":
        tifffile.imwrite(path, stack, photometric="rgb", metadata={"axes": "ZYXS"})
    elif how == "pyramid":
        with tifffile.TiffWriter(path, ome=True) as tif:
            tif.write(stack, subifds=1, **PLAIN | {"metadata": {"axes": "ZYXS"}})
            tif.write(stack[:, ::2, ::2], subfiletype=1, **PLAIN)
    return path


@pytest.mark.parametrize("how", ["ome", "ome time", "ome planar", "imagej", "shaped", "pyramid"])
def test_planes_of_a_stack(tmp_path: Path, stack: Pixels, how: str) -> None:
    path = write_stack(tmp_path / "z.tif", stack, how)
    with open_slide(path) as slide:
        assert (slide.plane, slide.image.planes, slide.n_images, slide.part) == (3, 5, 1, "")
        assert slide.title == "z.tif [plane 3]"
        assert np.array_equal(pixels_of(slide), stack[2])
        (said,) = slide.notes
    assert said == (
        "z.tif is a stack of 5 planes; looked at is plane 3, the middle one. "
        "Choose another with --plane, or in the panel of napari."
    )
    with open_slide(path, choice=ImageChoice(plane=5)) as slide:
        assert np.array_equal(pixels_of(slide), stack[4])
        assert np.array_equal(
            pixels_of(slide, -1), stack[4][::2, ::2] if how == "pyramid" else stack[4]
        )
        assert (slide.notes, slide.part) == ((), "plane=5")
    with pytest.raises(UserError, match=r"z.tif has 5 planes; there is no plane 6"):
        open_slide(path, choice=ImageChoice(plane=6))


def test_imagej_stack_in_one_run_without_pages(tmp_path: Path, stack: Pixels) -> None:
    path = write_stack(tmp_path / "z.tif", stack, "imagej")
    with tifffile.TiffFile(path) as tif:
        first, offset = tif.pages.first, tif.pages[1].offset
        link = first.offset + 2 + 12 * len(first.tags)
        little = tif.byteorder == "<"
    data = bytearray(path.read_bytes())
    assert int.from_bytes(data[link : link + 4], "little" if little else "big") == offset
    data[link : link + 4] = bytes(4)  # as ImageJ leaves it beyond 4 GB
    path.write_bytes(data)
    for plane in (1, 4):
        with open_slide(path, choice=ImageChoice(plane=plane)) as slide:
            assert slide.image.planes == 5
            assert np.array_equal(pixels_of(slide), stack[plane - 1])


def test_focal_planes_of_aperio(tmp_path: Path, stack: Pixels) -> None:
    about = "Aperio Image Library v11\n512x384 |AppMag = 20|MPP = 0.499"
    options = PLAIN | {"description": about, "compression": "zlib"}
    strips = options | {"tile": None, "rowsperstrip": 16}
    with tifffile.TiffWriter(tmp_path / "z.svs") as tif:
        tif.write(stack[0], **options)
        tif.write(smaller(stack[0], 200, 150), **strips)
        for plane in stack[1:3]:
            tif.write(plane, **options)
        for plane in stack[:3]:
            tif.write(smaller(plane, 128, 96), **options)
        tif.write(stack[0][:100, :100], subfiletype=1, **strips)
        tif.write(stack[0][:100, :300], subfiletype=9, **strips)
    with open_slide(tmp_path / "z.svs") as slide:
        assert np.array_equal(pixels_of(slide), stack[1])
        assert np.array_equal(pixels_of(slide, 1), smaller(stack[1], 128, 96))
        assert slide.associated == ("thumbnail", "label", "macro")
    with open_slide(tmp_path / "z.svs", choice=ImageChoice(plane=3)) as slide:
        assert np.array_equal(pixels_of(slide), stack[2])


def test_focal_planes_of_hamamatsu_lie_in_their_order_of_height(
    tmp_path: Path, picture: np.ndarray
) -> None:
    # Restart markers are every 64 px. The scanner writes the plane of best focus first.
    pages, heights = [], (0, -2000, 2000)
    for shift in (0, 60, 120):
        base = np.ascontiguousarray(picture[shift : shift + 384, :512])
        pages += [base, smaller(base, 256, 192)]
    z = [h for h in heights for _ in range(2)]
    path = write_ndpi(tmp_path / "z.ndpi", pages, 0.25, z)
    with open_slide(path) as slide:
        assert (slide.format, slide.image.planes, slide.plane) == ("Hamamatsu NDPI", 3, 2)
        assert slide.downsamples == (1.0, 2.0)
    for plane, stored in ((1, 1), (2, 0), (3, 2)):
        with open_slide(path, choice=ImageChoice(plane=plane)) as slide:
            for level in (0, 1):
                off = np.abs(pixels_of(slide, level).astype(int) - pages[2 * stored + level])
                assert off.mean() < 3.0


def test_focal_planes_of_a_leica_scanner(tmp_path: Path, stack: Pixels) -> None:
    height, width = stack.shape[1:3]
    dimensions = "".join(
        f'<dimension sizeX="{width}" sizeY="{height}" r="0" z="{z}" ifd="{z}"/>' for z in range(5)
    )
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f'<collection><image name="a"><pixels sizeX="{width}" sizeY="{height}">{dimensions}'
        f'</pixels><view sizeX="{width * 500}" sizeY="{height * 500}"/></image></collection></scn>'
    )
    with tifffile.TiffWriter(tmp_path / "z.scn", bigtiff=True) as tif:
        for z, plane in enumerate(stack):
            tif.write(plane, description=None if z else xml, **PLAIN)
    with open_slide(tmp_path / "z.scn") as slide:
        assert (slide.image.planes, slide.plane, slide.mpp) == (5, 3, 0.5)
        assert np.array_equal(pixels_of(slide), stack[2])


def test_fluorescence_of_akoya_is_told_by_its_pages(tmp_path: Path, left: Pixels) -> None:
    path = tmp_path / "f.qptiff"
    with tifffile.TiffWriter(path) as tif:
        for name, plane in zip(
            ("DAPI", "Opal 520", "Opal 690"), np.moveaxis(left, 2, 0), strict=True
        ):
            about = (
                "<?xml version='1.0'?><PerkinElmer-QPI-ImageDescription>"
                f"<ImageType>FullResolution</ImageType><Name>{name}</Name>"
                "</PerkinElmer-QPI-ImageDescription>"
            )
            options = PLAIN | {"photometric": "minisblack", "description": about}
            tif.write(np.ascontiguousarray(plane), software="PerkinElmer-QPI", **options)
    with pytest.raises(UserError, match=r"DAPI, Opal 520, Opal 690.*fluorescence"):
        open_slide(path)
    with open_slide(path, choice=ImageChoice(channels="1")) as slide:
        assert np.array_equal(pixels_of(slide)[:, :, 0], left[:, :, 0])


def test_planes_along_two_axes_are_numbered_through(tmp_path: Path, stack: Pixels) -> None:
    both = np.stack([stack[:3], stack[:3, ::-1]])
    tifffile.imwrite(
        tmp_path / "t.tif", both, photometric="rgb", metadata={"axes": "TZYXS"}, ome=True
    )
    with open_slide(tmp_path / "t.tif") as slide:
        assert (slide.plane, slide.plane_zt) == (5, (1, 1))
        assert np.array_equal(pixels_of(slide), both[1, 1])
    with open_slide(tmp_path / "t.tif", choice=ImageChoice(plane=3)) as slide:
        assert np.array_equal(pixels_of(slide), both[0, 2])
        assert slide.plane_zt == (2, 0)


def test_channels_can_be_chosen(tmp_path: Path, left: Pixels) -> None:
    planes = np.ascontiguousarray(left.transpose(2, 0, 1))
    four = np.concatenate([planes, planes[:1] // 2])
    path = tmp_path / "c.ome.tif"
    tifffile.imwrite(path, four, photometric="minisblack", metadata={"axes": "CYX"}, ome=True)
    with pytest.raises(UserError, match=r"c.ome.tif has 4 channels.*--channels"):
        open_slide(path)
    on_white = (255 - four[3][:, :, None] / 255 * (255 - left.astype(float))).round()
    for text, expected in (("rgb", left), ("3,2,1", left[:, :, ::-1]), ("1,2,3,4", on_white)):
        with open_slide(path, choice=ImageChoice(channels=text)) as slide:
            assert np.array_equal(pixels_of(slide), expected)
            assert slide.choice.channels == text
    with open_slide(path, choice=ImageChoice(channels="2")) as slide:
        assert np.array_equal(pixels_of(slide), np.repeat(left[:, :, 1:2], 3, axis=2))
    with pytest.raises(UserError, match="4 channels; there is no channel 5"):
        open_slide(path, choice=ImageChoice(channels="1,2,5"))


@pytest.mark.parametrize("text", ["", "rg", "1,2", "0,1,2", "1,2,3,4,5", "one", "1 2", "1 2 3"])
def test_channels_that_mean_nothing(text: str) -> None:
    with pytest.raises(UserError, match="Channels are"):
        ImageChoice(channels=text)


@pytest.mark.parametrize(("n", "middle"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_the_middle_plane(n: int, middle: int) -> None:
    assert pick_plane([("Z", n)], ImageChoice(), "z") == [middle]
