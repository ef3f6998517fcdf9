from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from muse_core.errors import UserError
from muse_core.slides import open_slide
from muse_core.slides.mpp import combine_mpp
from muse_core.slides.stated import NoLengthError
from muse_core.slides.tiff.mpp import (
    aperio_mpp,
    imagej_mpp,
    ome_mpp,
    philips_mpp,
    qptiff_mpp,
    resolution_mpp,
    scn_mpp,
    ventana_mpp,
)
from muse_core.slides.units import um_per_unit

from ..slide_files import write_ome_tiff

SCN_XML = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection>
 <image name="macro"><pixels sizeX="1616" sizeY="4668"/>
  <view sizeX="26564529" sizeY="76734622" offsetX="0" offsetY="0"/></image>
 <image name="main"><pixels sizeX="36832" sizeY="38432"/>
  <view sizeX="18416000" sizeY="19216000" offsetX="1" offsetY="2"/></image>
</collection></scn>"""
PHILIPS_XML = """<?xml version="1.0"?>
<DataObject ObjectType="DPUfsImport"><Attribute Name="DICOM_PIXEL_SPACING"
 Group="0x0028">"0.000226" "0.000227"</Attribute></DataObject>"""


def write(path: Path, **options: Any) -> Any:
    tifffile.imwrite(
        path, np.zeros((64, 64, 3), np.uint8), photometric="rgb", metadata=None, **options
    )
    return path


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("Aperio Image Library v1\r\n1x1|AppMag = 20|MPP = 0.4990|Left = 2", (0.499, 0.499)),
        ("Aperio|mpp=0.25", None),
        ("Aperio|AppMag = 40", None),
        ("Aperio|MPP = |", None),
        ("Aperio|AppMag = 8|MPP = 1,2475", (1.2475, 1.2475)),
        ("Aperio|MPP = 0,499000", (0.499, 0.499)),
        ("Aperio|MPP= 4.99e-1 |", (0.499, 0.499)),
        ("Aperio|MPP = 499 nm", (0.499, 0.499)),
        ("Aperio|MPP = 0.499 um/px", (0.499, 0.499)),
        ("Aperio|xMPP = 0.499", None),
    ],
)
def test_aperio(description: str, expected: tuple[float, float] | None) -> None:
    assert aperio_mpp(description) == expected


@pytest.mark.parametrize("text", ["-.-", "0.499abc", "0.4.99", "0.499 0.499", "0.252;", "n/a"])
def test_what_stands_in_place_of_a_scale_is_named(tmp_path: Path, text: str) -> None:
    said = f"Aperio Image Library v1\n64x64|AppMag = 20|MPP = {text}|Left = 2"
    note = f"its metadata says MPP = {text}, which is no length"
    with open_slide(write(tmp_path / "s.svs", description=said)) as slide:
        assert (slide.mpp, slide.mpp_note) == (None, note)
        with pytest.raises(UserError, match=re.escape(note)):
            slide.require_mpp()
    tags = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    with open_slide(write(tmp_path / "t.svs", description=said, **tags)) as slide:
        assert slide.mpp == 0.5


def test_of_several_fields_the_readable_one_counts() -> None:
    assert aperio_mpp("Aperio|MPP = n/a|MPP = 0.5") == (0.5, 0.5)


def test_long_texts_of_metadata_are_cut_to_one_line() -> None:
    with pytest.raises(NoLengthError, match=r"MPP = a b{38}\.\.\., which"):
        aperio_mpp(f"Aperio|MPP = a\r\n{'b' * 500}")


@pytest.mark.parametrize(
    ("stated", "width", "height", "mpp"),
    [
        ("46920x33014 [14240,22100 2220x2967] (240x240)", 2220, 2967, 0.499),
        ("46920x33014 [14240,22100 2220x2967] (240x240)", 1110, 1484, None),
        ("46920x33014 [14240,22100,2220x2967] (240x240)", 555, 742, None),
        ("2220x2967 (240x240)", 4440, 5934, None),
        ("2220x2967 (240x240)", 2220, 2968, 0.499),
        ("2220x2967 (240x240)", 1000, 900, 0.499),
        ("1x1 [0,0 1x1]", 512, 512, 0.499),
    ],
)
def test_a_resized_copy_of_an_svs_does_not_have_its_scale(
    tmp_path: Path, stated: str, width: int, height: int, mpp: float | None
) -> None:
    # As libvips writes it, which copies the description.
    path = tmp_path / "s.tif"
    pixels = np.broadcast_to(np.uint8(200), (height, width, 3))
    description = f"Aperio Image Library v1\r\n{stated} JPEG/RGB Q=30|AppMag = 20|MPP = 0.499"
    options: Any = {"photometric": "rgb", "tile": (256, 256), "metadata": None}
    tifffile.imwrite(
        path,
        pixels,
        description=description,
        resolution=(20040, 20040),
        **options,
        resolutionunit="CENTIMETER",
    )
    with open_slide(path) as slide:
        assert slide.mpp == mpp


def test_scn() -> None:
    assert scn_mpp(SCN_XML, 36832, 38432) == pytest.approx((0.5, 0.5))
    assert scn_mpp(SCN_XML, 1, 1) is None
    assert scn_mpp("<broken", 36832, 38432) is None


def test_philips() -> None:
    assert philips_mpp(PHILIPS_XML) == pytest.approx((0.227, 0.226))
    assert philips_mpp("<a/>") is None
    assert philips_mpp(PHILIPS_XML.replace("0.0", "0,0")) == pytest.approx((0.227, 0.226))
    one = '<a><Attribute Name="DICOM_PIXEL_SPACING">{}</Attribute></a>'
    assert philips_mpp(one.format("0.000226\\0.000227")) == pytest.approx((0.227, 0.226))
    assert philips_mpp(one.format('"0.000226"')) is None
    with pytest.raises(NoLengthError, match=r"DICOM_PIXEL_SPACING = 0\.000227x"):
        philips_mpp(one.format('"0.000226" "0.000227x"'))


def test_ventana() -> None:
    xml = "<EncodeInfo><iScan Magnification='40' ScanRes='{}'/></EncodeInfo>"
    assert ventana_mpp(xml.format("0.2325")) == (0.2325, 0.2325)
    assert ventana_mpp(xml.format("0,2325").replace("'", '"')) == (0.2325, 0.2325)
    with pytest.raises(NoLengthError, match="ScanRes = 40x"):
        ventana_mpp(xml.format("40x"))
    assert ventana_mpp(xml.replace("ScanRes", "PreScanRes")) is None


def test_qptiff() -> None:
    xml = "<P><PixelSizeMicrons>{}</PixelSizeMicrons></P>"
    assert qptiff_mpp(xml.format("0.4990")) == (0.499, 0.499)
    assert qptiff_mpp(xml.format("0,4990")) == (0.499, 0.499)
    assert qptiff_mpp("<broken") is None
    with pytest.raises(NoLengthError, match=r"PixelSizeMicrons = \?, which"):
        qptiff_mpp(xml.format("?"))


def test_ome() -> None:
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels SizeX="9" '
        'SizeY="8" PhysicalSizeX="{}" PhysicalSizeY="0.5" {}/></Image></OME>'
    )
    assert ome_mpp(xml.format("0.5", ""), 9, 8) == (0.5, 0.5)
    assert ome_mpp(xml.format("5e-4", 'PhysicalSizeXUnit="mm"'), 9, 8) == (0.5, 0.5)
    with pytest.raises(NoLengthError, match="PhysicalSizeX = 1 pixel, which"):
        ome_mpp(xml.format("1", 'PhysicalSizeXUnit="pixel"'), 9, 8)
    with pytest.raises(NoLengthError, match="PhysicalSizeX = x, which"):
        ome_mpp(xml.format("x", ""), 9, 8)
    assert ome_mpp(xml.format("", ""), 9, 8) is None
    assert ome_mpp(xml.format("0,5", ""), 9, 8) == (0.5, 0.5)
    assert ome_mpp(xml.format("0.5", 'PhysicalSizeXUnit="\u00c2\u00b5m"'), 9, 8) == (0.5, 0.5)
    assert ome_mpp(xml.format("0.5", ""), 8, 9) is None


def test_imagej() -> None:
    assert imagej_mpp({"unit": "micron"}, (2.0, 2.0)) == (0.5, 0.5)
    assert imagej_mpp({"unit": "\\u00B5m"}, (4.0, 4.0)) == (0.25, 0.25)
    assert imagej_mpp({"unit": "pixel"}, (2.0, 2.0)) is None
    assert imagej_mpp({}, (2.0, 2.0)) is None
    # 20 um in a calibration is meant; as dots per inch it is that of a printer.
    assert imagej_mpp({"unit": "micron"}, (0.05, 0.05)) == (20, 20)
    assert imagej_mpp({"unit": "cm"}, (20_000.0, 20_000.0)) == (0.5, 0.5)
    for unit in ("inch", "cm"):
        assert imagej_mpp({"unit": unit}, (300.0, 300.0)) is None


def test_dots_per_inch_saved_by_imagej_are_no_scale(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((30, 40, 3), np.uint8), photometric="rgb", metadata=None,
        description="ImageJ=1.53\nunit=inch\n", resolution=(300, 300), resolutionunit=2,
    )  # fmt: skip
    with open_slide(tmp_path / "a.tif", mpp=0.5) as slide:
        assert slide.mpp == 0.5


@given(st.floats(1, 5000), st.sampled_from([2, 3]))
def test_screen_and_print_resolutions_are_no_scale(dpi: float, unit: int) -> None:
    per_unit = dpi if unit == 2 else dpi / 2.54
    assert resolution_mpp((per_unit, per_unit), unit) is None


@given(st.floats(0.05, 5.0), st.sampled_from([(2, 25400.0), (3, 10000.0)]))
def test_microscope_resolutions_are(mpp: float, unit: tuple[int, float]) -> None:
    found = resolution_mpp((unit[1] / mpp, unit[1] / mpp), unit[0])
    if 0.0501 < mpp < 4.999:
        assert found == pytest.approx((mpp, mpp))


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((20000, 20000), "CENTIMETER", 0.5),
        ((101600, 101600), "INCH", 0.25),
        ((72, 72), "INCH", None),
        ((96, 96), "INCH", None),
        ((28.35, 28.35), "CENTIMETER", None),
        ((20000, 20000), "NONE", None),
    ],
)
def test_resolution_tags_of_a_file(
    tmp_path: Path,
    resolution: tuple[float, float] | tuple[int, int],
    unit: str,
    expected: float | None,
) -> None:
    path = write(tmp_path / "r.tif", resolution=resolution, resolutionunit=unit)
    with open_slide(path) as slide:
        assert slide.mpp == (None if expected is None else pytest.approx(expected, rel=1e-4))


def test_a_magnification_is_no_scale(tmp_path: Path) -> None:
    path = write(tmp_path / "m.svs", description="Aperio Image Library v1\n64x64|AppMag = 40")
    with open_slide(path) as slide:
        assert slide.format == "Aperio SVS"
        assert slide.mpp is None


def test_oblong_pixels_are_refused_unless_the_scale_is_given(
    tmp_path: Path, halves: list[np.ndarray]
) -> None:
    path = write_ome_tiff(tmp_path / "o.ome.tif", halves, PhysicalSizeX=0.5, PhysicalSizeY=0.6)
    with open_slide(path) as slide:
        assert slide.mpp is None
        with pytest.raises(UserError, match=r"not square, 0.5 x 0.6 um"):
            slide.require_mpp()
    with open_slide(path, mpp=0.55) as slide:
        assert slide.require_mpp() == 0.55


def test_combine() -> None:
    assert combine_mpp(0.5, 0.504) == (0.502, "")
    assert combine_mpp(None, 0.5) == (None, "")
    for absurd in (0.0, -0.5, 1e5, float("nan")):
        mpp, note = combine_mpp(absurd, absurd)
        assert mpp is None
        assert "cannot be" in note


def test_a_scale_of_zero_leaves_it_to_the_tags(tmp_path: Path) -> None:
    said = "Aperio Image Library v1\n64x64|AppMag = 20|MPP = {}"
    for zero in ("0", "-0,499", "nan", "0,0"):
        path = write(tmp_path / "a.svs", description=said.format(zero))
        with open_slide(path) as slide, pytest.raises(UserError, match="which cannot be"):
            slide.require_mpp()
    tags = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    path = write(tmp_path / "b.svs", description=said.format("0"), **tags)
    with open_slide(path) as slide:
        assert slide.mpp == 0.5


def test_the_scale_of_a_ventana_tiff(tmp_path: Path) -> None:
    xml = b'<Metadata><iScan Magnification="40" ScanRes="0,2325"/></Metadata>'
    path = write(tmp_path / "v.tif", extratags=[(700, "B", len(xml), xml, True)])
    with open_slide(path) as slide:
        assert slide.mpp == 0.2325


@pytest.mark.parametrize(
    ("unit", "um"),
    [
        *(("um", 1), ("\N{MICRO SIGN}m", 1), ("micrometer", 1), ("nm", 1e-3), ("mm", 1e3)),
        *(("\N{GREEK SMALL LETTER MU}m", 1), ("\u00c2\u00b5m", 1), ("\\u00B5m", 1)),
        *(("Micrometers", 1), ("\N{ANGSTROM SIGN}", 1e-4), ("inches", 25400), ("UM", 1)),
        *(("Mm", 1e12), ("MM", None), ("px", None), ("reference frame", None), ("", None)),
    ],
)
def test_units(unit: str, um: Any) -> None:
    assert um_per_unit(unit) == um
