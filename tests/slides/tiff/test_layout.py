"""Files of libvips, whose pages look like those of a scanner or say nothing of themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from muse_core.slides import open_slide
from muse_core.slides.tiff.layout import with_planes

from ..slide_server import slide_server

_APERIO = "Aperio Image Library v1\r\n{}x{} (240x240) JPEG/RGB Q=30|AppMag = 20|MPP = 0.499"
_OME = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<{0}OME xmlns{1}="http://www.openmicroscopy.org/Schemas/OME/2016-06"><{0}Image ID="Image:0">'
    '<{0}Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeC="3" SizeT="1" SizeX="{2}" SizeY="{3}"'
    ' SizeZ="1" Type="uint8" PhysicalSizeX="0.499" PhysicalSizeY="0.499"{4}</{0}Image></{0}OME>'
)


@pytest.mark.parametrize(("marked", "below"), [(False, False), (True, False), (True, True)])
def test_a_pyramid_with_the_description_of_an_svs_has_its_levels(
    tmp_path: Path, halves: list[np.ndarray], marked: bool, below: bool
) -> None:
    height, width = halves[0].shape[:2]
    with tifffile.TiffWriter(tmp_path / "s.tif") as tif:
        for index, half in enumerate(halves):
            tif.write(
                half,
                photometric="rgb",
                tile=(64, 64),
                metadata=None,
                subfiletype=int(marked and index > 0),
                subifds=len(halves) - 1 if below and not index else 0,
                description=None if index else _APERIO.format(width, height),
            )
    with open_slide(tmp_path / "s.tif") as slide:
        assert (slide.mpp, slide.downsamples, slide.associated) == (0.499, (1.0, 2.0, 4.0), ())
        for level, half in zip(slide.levels, halves, strict=True):
            assert np.array_equal(level.compute(), half)


def test_a_tiled_thumbnail_of_an_svs_is_none_of_its_levels(
    tmp_path: Path, halves: list[np.ndarray]
) -> None:
    height, width = halves[0].shape[:2]
    pages = (halves[0], halves[0][::10, ::10], halves[1], halves[0][:100, :80])
    with tifffile.TiffWriter(tmp_path / "s.svs") as tif:
        for index, pixels in enumerate(pages):
            tif.write(
                pixels,
                photometric="rgb",
                tile=None if index == len(pages) - 1 else (64, 64),
                metadata=None,
                description=_APERIO.format(width, height),
            )
    with open_slide(tmp_path / "s.svs") as slide:
        assert slide.downsamples == (1.0, 2.0)
        assert set(slide.associated) == {"thumbnail", "label"}
        assert slide.n_images == 1


@pytest.mark.parametrize("prefix", ["", "ome:"])
@pytest.mark.parametrize("end", ["/>", "></{}Pixels>"])
def test_colours_in_pages_of_an_ome_tiff_that_does_not_say_where_they_are(
    tmp_path: Path, halves: list[np.ndarray], prefix: str, end: str
) -> None:
    height, width = halves[0].shape[:2]
    colon = f":{prefix.rstrip(':')}" if prefix else ""
    xml = _OME.format(prefix, colon, width, height, end.format(prefix))
    with tifffile.TiffWriter(tmp_path / "s.ome.tif") as tif:
        for channel in range(3):
            for index, half in enumerate(halves):
                tif.write(
                    half[..., channel],
                    photometric="minisblack",
                    tile=(64, 64),
                    metadata=None,
                    subifds=0 if index else len(halves) - 1,
                    subfiletype=int(index > 0),
                    description=None if index or channel else xml,
                )
    with (
        slide_server(tmp_path) as server,
        open_slide(tmp_path / "s.ome.tif") as slide,
        open_slide(f"{server.address}/s.ome.tif") as far,
    ):
        assert slide.mpp == 0.499
        assert slide.notes == ()
        assert slide.downsamples == far.downsamples == (1.0, 2.0, 4.0)
        for level, other, half in zip(slide.levels, far.levels, halves, strict=True):
            assert np.array_equal(level.compute(), half)
            assert np.array_equal(other.compute(), half)


def test_what_says_where_its_planes_are_or_has_several_images_is_left_alone() -> None:
    one = "<OME><Image><Pixels SizeC='3'>{}</Pixels></Image></OME>"
    assert with_planes(one.format("<TiffData IFD='0'/>")) is None
    assert with_planes(one.format("") + one.format("")) is None
    assert with_planes("<OME>") is None
    assert with_planes(one.format("<Channel/>")) == one.format("<Channel/><TiffData/>")
