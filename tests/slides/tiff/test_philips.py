"""Philips' TIFF, whose levels are filled up to whole tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from muse_core.slides import Region, open_slide
from muse_core.slides.info import slide_info

TILE_PX = 16
N_LEVELS = 5


def description() -> str:
    spacings = "".join(
        '<DataObject ObjectType="PixelDataRepresentation"><Attribute Name="DICOM_PIXEL_SPACING">'
        f'"{0.00025 * 2**i}" "{0.00025 * 2**i}"</Attribute></DataObject>'
        for i in range(N_LEVELS)
    )
    return (
        '<?xml version="1.0"?><DataObject ObjectType="DPUfsImport"><Attribute'
        f' Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>{spacings}</Array></Attribute>'
        "</DataObject>"
    )


def waves(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 that differ from place to place, but little within a few pixels."""
    y, x = np.mgrid[:height, :width]
    parts = [np.sin(x / 23), np.sin(y / 29), np.sin((x + y) / 31)]
    return np.stack([120 + 60 * part for part in parts], axis=2).astype(np.uint8)


def write_philips(path: Path, base: np.ndarray, software: str, described: str) -> None:
    with tifffile.TiffWriter(path) as tif:
        for exponent in range(N_LEVELS):
            height, width = (-(-side // 2**exponent) for side in base.shape[:2])
            level = np.asarray(Image.fromarray(base).resize((width, height), Image.Resampling.BOX))
            filling = ((0, -height % TILE_PX), (0, -width % TILE_PX), (0, 0))
            tif.write(
                np.pad(level, filling, constant_values=255),
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                compression="zlib",
                subfiletype=int(exponent > 0),
                metadata=None,
                software=software,
                description="" if exponent else described,
            )


# Of 51 tiles half are 26, so that a level is 2% too wide, too high or both.
@pytest.mark.parametrize("size", [(800, 816), (816, 800), (816, 816)])
@pytest.mark.parametrize(
    ("software", "described", "kind"),
    [
        ("Philips DP v1.0", description(), "Philips TIFF"),
        ("Philips DP v1.0", "<DataObject></DataObject>", "Philips TIFF"),
        ("", "", "TIFF"),
    ],
    ids=["whole", "without its scale", "without its maker"],
)
def test_what_is_read_at_any_scale_lies_where_it_is(
    tmp_path: Path, size: tuple[int, int], software: str, described: str, kind: str
) -> None:
    base = waves(*size)
    write_philips(tmp_path / "p.tiff", base, software, described)
    with open_slide(tmp_path / "p.tiff", mpp=0.25) as slide:
        assert slide.format.startswith(kind)
        assert (slide.height, slide.width) == size
        assert slide.downsamples == ((1, 2, 4, 8, 16) if "0.0" in described else (1,))
        corner = Region(slide.width - 512, slide.height - 512, 512, 512)
        for factor in (2, 4):
            read = slide.read(corner, 0.25 * factor).astype(float)
            wanted = base[-512:, -512:].reshape(512 // factor, factor, -1, factor, 3)
            # At the edge itself white glass takes part.
            assert np.abs(read - wanted.mean(axis=(1, 3)))[:-4, :-4].max() < 2
        for level, info in zip(slide.levels, slide_info(slide)["levels"], strict=True):
            assert level.shape == (info["height"], info["width"], 3)
