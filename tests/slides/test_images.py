"""Files with several images: which are tissue, which is opened, and the messages about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from muse_core.errors import UserError
from muse_core.slides import ImageChoice, open_slide
from muse_core.slides.images import Role, SlideImage, numbered, role_of_name
from muse_core.slides.tiff.level import TiffLevel

from .image_files import PLAIN, Pixels, pixels_of, smaller, tissue, write_pages


def test_pages_that_show_different_tissue_are_images(
    tmp_path: Path, left: Pixels, right: Pixels
) -> None:
    path = write_pages(tmp_path / "p.tif", (right, {}), (left, {}))
    with open_slide(path) as slide:
        assert tissue(slide) == [(1, 256, 192), (2, 512, 384)]
        assert slide.image.number == 2
        assert slide.title == "p.tif [image 2]"
        assert np.array_equal(pixels_of(slide), left)
        assert slide.downsamples == (1.0,)
        assert slide.associated == ()
        assert slide.part == ""
        (said,) = slide.notes
    assert said == (
        "p.tif holds 2 tissue images; looked at is image 2 (512 x 384 px), the largest. "
        "Not looked at: image 1 (256 x 192 px); choose with --image, or in the panel of napari."
    )
    with open_slide(path, choice=ImageChoice(1)) as slide:
        assert np.array_equal(pixels_of(slide), right)
        assert slide.part == "image=1"
        assert slide.notes == ()
        assert slide.choice == ImageChoice(1)
    with pytest.raises(UserError, match=r"p.tif holds 2 tissue images, .*there is no image 3"):
        open_slide(path, choice=ImageChoice(3))


def test_half_as_large_but_other_tissue_is_no_level(
    tmp_path: Path, left: Pixels, right: Pixels
) -> None:
    with open_slide(write_pages(tmp_path / "p.tif", (left, {}), (right, {}))) as slide:
        assert slide.downsamples == (1.0,)
        assert tissue(slide) == [(1, 512, 384), (2, 256, 192)]
    levels: list[tuple[Pixels, dict[str, Any]]] = [
        (left, {}),
        (smaller(left, 256, 192), {}),
        (smaller(left, 128, 96), {}),
    ]
    with open_slide(write_pages(tmp_path / "q.tif", *levels)) as slide:
        assert slide.downsamples == (1.0, 2.0, 4.0)
        assert tissue(slide) == [(1, 512, 384)]
        assert slide.notes == ()


def test_two_pyramids_of_pages(tmp_path: Path, left: Pixels, picture: np.ndarray) -> None:
    other = np.ascontiguousarray(picture[316:700, 80:592])
    half = {"subfiletype": 1}
    pages = [(left, {}), (smaller(left, 256, 192), half)]
    pages += [(other[:, :448], {}), (smaller(other[:, :448], 224, 192), half)]
    path = write_pages(tmp_path / "p.tif", *pages)
    for number, stored in ((1, left), (2, other[:, :448])):
        with open_slide(path, choice=ImageChoice(number)) as slide:
            assert slide.downsamples == (1.0, 2.0)
            assert np.array_equal(pixels_of(slide), stored)
            assert np.array_equal(pixels_of(slide, 1), smaller(stored, stored.shape[1] // 2, 192))


def test_pages_of_one_size_are_images_and_their_halves_levels(
    tmp_path: Path, left: Pixels, picture: np.ndarray
) -> None:
    other = np.ascontiguousarray(picture[316:700, 80:592])
    halves = [smaller(p, 256, 192) for p in (left, other)]
    path = write_pages(tmp_path / "p.tif", *((p, {}) for p in (left, other, *halves)))
    with open_slide(path) as slide:
        assert "image 1 (512 x 384 px), the first." in slide.notes[0]
    with open_slide(path, choice=ImageChoice(2)) as slide:
        assert np.array_equal(pixels_of(slide), other)
        assert np.array_equal(pixels_of(slide, 1), halves[1])


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"description": "Macro image"}, (200, 120)),
        ({"description": "label"}, (120, 100)),
        ({"subfiletype": 1}, (300, 290)),
        ({"tile": None}, (90, 80)),  # beside tiles
        ({}, (150, 113)),  # a thumbnail whose size is not an integer fraction of the slide's
    ],
)
def test_labels_and_thumbnails_are_no_tissue(
    tmp_path: Path, left: Pixels, picture: np.ndarray, options: Any, size: tuple[int, int]
) -> None:
    small = (
        smaller(left, *size) if not options else np.ascontiguousarray(picture[: size[1], : size[0]])
    )
    with open_slide(write_pages(tmp_path / "p.tif", (left, {}), (small, options))) as slide:
        assert tissue(slide) == [(1, 512, 384)]
        assert [(i.width, i.height) for i in slide.images if not i.number] == [size]
        assert slide.notes == ()
    with pytest.raises(UserError, match=r"p.tif holds one tissue image; there is no image 2"):
        open_slide(tmp_path / "p.tif", choice=ImageChoice(2))


def scn(path: Path, areas: list[tuple[str, Pixels, float]]) -> Path:
    """Leica SCN, each image with its name and microns per pixel; one level each."""
    images = ""
    for ifd, (name, pixels, mpp) in enumerate(areas):
        height, width = pixels.shape[:2]
        view = f'<view sizeX="{width * mpp * 1000:.0f}" sizeY="{height * mpp * 1000:.0f}"/>'
        images += (
            f'<image name="{name}"><pixels sizeX="{width}" sizeY="{height}"><dimension '
            f'sizeX="{width}" sizeY="{height}" r="0" ifd="{ifd}"/></pixels>{view}</image>'
        )
    xml = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        f"<collection>{images}</collection></scn>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for i, (_, pixels, _) in enumerate(areas):
            tif.write(pixels, description=None if i else xml, **PLAIN)
    return path


def test_areas_of_a_leica_scanner(
    tmp_path: Path, left: Pixels, right: Pixels, picture: np.ndarray
) -> None:
    # Names are no help: the overview of the whole slide is recognised by its scale.
    images = [("a0", right, 16.0), ("a1", left, 0.5), ("a2", left[::-1].copy(), 0.25)]
    path = scn(tmp_path / "s.scn", images)
    with open_slide(path) as slide:
        assert [(i.name, i.role, i.mpp) for i in slide.images] == [
            ("a0", Role.MACRO, 16.0),
            ("a1", Role.TISSUE, 0.5),
            ("a2", Role.TISSUE, 0.25),
        ]
        assert slide.mpp == 0.5
        assert slide.associated == ("a0",)
    with open_slide(path, choice=ImageChoice(2)) as slide:
        assert slide.mpp == 0.25
        assert np.array_equal(pixels_of(slide), left[::-1])


def test_scenes_of_an_ome_tiff(tmp_path: Path, left: Pixels, picture: np.ndarray) -> None:
    path = tmp_path / "s.ome.tif"
    facts = [("Scene 1", 0.25), ("Scene 2", 0.5)]
    scenes = [left, np.ascontiguousarray(picture[316:700, 80:592])]
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(
            picture[:80, :90], photometric="rgb", metadata={"axes": "YXS", "Name": "label image"}
        )
        for pixels, (name, mpp) in zip(scenes, facts, strict=True):
            size = {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
            options = PLAIN | {"metadata": {"axes": "YXS", "Name": name, **size}}
            tif.write(pixels, subifds=1, **options)
            tif.write(pixels[::2, ::2], subfiletype=1, **PLAIN | {"metadata": None})
    for number, (pixels, (name, mpp)) in enumerate(zip(scenes, facts, strict=True), start=1):
        with open_slide(path, choice=ImageChoice(number)) as slide:
            assert (slide.image.name, slide.mpp, slide.associated) == (name, mpp, ("label image",))
            assert np.array_equal(pixels_of(slide), pixels)
            assert np.array_equal(pixels_of(slide, 1), pixels[::2, ::2])


def test_levels_that_are_written_as_scenes_are_no_tissue_of_their_own(
    tmp_path: Path, left: Pixels, right: Pixels
) -> None:
    path = tmp_path / "s.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for i, pixels in enumerate((left, smaller(left, 256, 192), smaller(left, 128, 96), right)):
            metadata = {"axes": "YXS", "Name": f"a.svs #{i + 1}"}
            tif.write(pixels, **PLAIN | {"metadata": metadata})
    with open_slide(path) as slide:
        roles = [Role.TISSUE, Role.THUMBNAIL, Role.THUMBNAIL, Role.TISSUE]
        assert [i.role for i in slide.images] == roles
    with open_slide(path, choice=ImageChoice(2)) as slide:
        assert np.array_equal(pixels_of(slide), right)


def test_a_photograph_with_a_preview_is_one_image(tmp_path: Path, left: Pixels) -> None:
    path = tmp_path / "p.jpg"
    preview = Image.fromarray(smaller(left, 128, 96))
    Image.fromarray(left).save(path, "MPO", save_all=True, append_images=[preview], quality=95)
    with open_slide(path) as slide:
        assert (slide.format, slide.n_images, slide.notes) == ("JPEG", 1, ())
        slide.require_only_image()


def test_one_large_strip_is_decoded_once_or_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    y, x = np.mgrid[:4200, :4200]
    shade = ((np.sin(x / 90) + np.cos(y / 70)) * 60 + 128).astype(np.uint8)
    large = np.repeat(shade[:, :, None], 3, axis=2)
    small = np.ascontiguousarray(large[::7, ::7])
    decoded = []
    decode = TiffLevel._stored

    def count(self: TiffLevel, row: Any, col: Any) -> Any:
        decoded.append(self.shape)
        return decode(self, row, col)

    monkeypatch.setattr(TiffLevel, "_stored", count)
    options = PLAIN | {"tile": None, "rowsperstrip": 4200, "compression": "zlib"}
    with tifffile.TiffWriter(tmp_path / "s.tif") as tif:
        tif.write(large, **options)
        tif.write(small, **options)
    with open_slide(tmp_path / "s.tif") as slide:
        assert [i.role for i in slide.images] == [Role.TISSUE, Role.THUMBNAIL]
    assert decoded.count((4200, 4200, 3)) <= 2


def test_stains_of_one_scene_do_not_speak_for_another(tmp_path: Path, left: Pixels) -> None:
    planes = np.ascontiguousarray(left.transpose(2, 0, 1))
    path = tmp_path / "s.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for names in (["R", "G", "B"], ["DAPI", "FITC", "Cy5"]):
            channels = {"axes": "CYX", "Channel": {"Name": names}}
            tif.write(planes, photometric="minisblack", metadata=channels)
    with open_slide(path) as slide:
        assert np.array_equal(pixels_of(slide), left)
    with pytest.raises(UserError, match=r"DAPI, FITC, Cy5.*fluorescence.*--channels"):
        open_slide(path, choice=ImageChoice(2))


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_pictures_of_an_animation_are_images(tmp_path: Path, left: Pixels, name: str) -> None:
    pictures = [Image.fromarray(p) for p in (left, left[::-1].copy(), left[:, ::-1].copy())]
    lossless: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], **lossless)
    with open_slide(tmp_path / name) as slide:
        assert slide.n_images == 3
        assert "looked at is image 1 (512 x 384 px), the first" in slide.notes[0]
    with open_slide(tmp_path / name, choice=ImageChoice(2)) as slide:
        off = np.abs(pixels_of(slide).astype(int) - left[::-1]).mean()
        assert off < (8 if name.endswith("gif") else 0.01)


@pytest.mark.parametrize(
    ("name", "share", "role"),
    [
        ("Label", 0.01, Role.LABEL),
        ("label image", 1.0, Role.LABEL),
        ("CMU-1.svs [macro image]", 0.01, Role.MACRO),
        ("slide_overview", 0.2, Role.MACRO),
        ("Overview scan", 1.0, Role.TISSUE),
        ("Thumbnail", 0.1, Role.THUMBNAIL),
        ("Labelled tissue", 0.1, Role.TISSUE),
        ("Tumor Map 3", 0.9, Role.TISSUE),
        ("Scene 1", 0.1, Role.TISSUE),
        ("", 0.1, Role.TISSUE),
    ],
)
def test_roles_by_name(name: str, share: float, role: Any) -> None:
    assert role_of_name(name, share) is role


def test_something_is_always_tissue() -> None:
    labels = [SlideImage("label", 50, 40, Role.LABEL), SlideImage("macro", 90, 40, Role.MACRO)]
    assert [i.number for i in numbered(labels)] == [None, 1]


@pytest.mark.parametrize("part", ["image=0", "image=x", "plane", "image=2&image=3", "page=2", "x"])
def test_parts_that_name_nothing(part: str) -> None:
    with pytest.raises(UserError):
        ImageChoice.of_part(part)


def test_parts_lead_back() -> None:
    assert ImageChoice.of_part("") == ImageChoice()
    assert ImageChoice.of_part("image=2&plane=3") == ImageChoice(2, 3)
