from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from muse_core.errors import UserError
from muse_core.slides import open_slide

from ..slide_server import slide_server

_TILE, _ACROSS, _DOWN = 256, 32, 16
_SIZE = 2 * _TILE - _DOWN, 2 * _TILE - _ACROSS
_ISCAN = b'<iScan Magnification="40" ScanRes="0.25" Z-layers="1"/>'
_JOINT = '<TileJointInfo Confidence="99" Direction="{}" Tile1="{}" Tile2="{}" {}/>'


@pytest.fixture
def scanned() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 255, (*_SIZE, 3), dtype=np.uint8)


def _side_by_side(scanned: np.ndarray, across: int, down: int) -> np.ndarray:
    """Four tiles that have a seam of pixels in common, as they lie in the file."""
    rows = [
        [scanned[y : y + _TILE, x : x + _TILE] for x in (0, _TILE - across)]
        for y in (0, _TILE - down)
    ]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _write_ventana(path: Path, scanned: np.ndarray, across: int, down: int) -> None:
    joints = (
        _JOINT.format("RIGHT", 1, 2, f'OverlapX="{across}" OverlapY="0"'),
        _JOINT.format("UP", 2, 3, f'OverlapX="0" OverlapY="{down}"'),
    )
    info = 'AOIScanned="1" Pos-X="0" Pos-Y="0" NumRows="2" NumCols="2"'
    info += f' Width="{_TILE}" Height="{_TILE}"'
    xml = (
        f"<EncodeInfo><SlideStitchInfo><ImageInfo {info}>{''.join(joints)}</ImageInfo>"
        '</SlideStitchInfo><AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
    ).encode()
    label = np.full((64, 64, 3), 200, np.uint8)
    pages: tuple[tuple[np.ndarray, str, bytes, dict[str, Any]], ...] = (
        (label, "Label Image", _ISCAN, {}),
        (_side_by_side(scanned, across, down), "level=0 mag=40", xml, {"tile": (_TILE, _TILE)}),
    )
    with tifffile.TiffWriter(path) as tif:
        for pixels, description, xmp, options in pages:
            tif.write(
                pixels,
                photometric="rgb",
                compression="deflate",
                description=description,
                metadata=None,
                extratags=[(700, 1, len(xmp), xmp, True)],
                **options,
            )


def _write_trestle(path: Path, scanned: np.ndarray, across: int, down: int) -> None:
    tifffile.imwrite(
        path,
        _side_by_side(scanned, across, down),
        photometric="rgb",
        compression="deflate",
        tile=(_TILE, _TILE),
        software="MedScan",
        description=f"Background Color=E6E6E6;Objective Power=40;OverlapsXY= {across} {down}",
        metadata=None,
    )


@pytest.mark.parametrize("write", [_write_ventana, _write_trestle])
@pytest.mark.parametrize("name", ["s.tif", "s.svs"])
def test_openslide_puts_them_together(
    tmp_path: Path, scanned: np.ndarray, write: Callable[..., None], name: str
) -> None:
    pytest.importorskip("openslide")
    write(tmp_path / name, scanned, _ACROSS, _DOWN)
    with open_slide(tmp_path / name) as slide:
        assert slide.format.startswith("OpenSlide")
        assert np.array_equal(slide.levels[0].compute(), scanned)


@pytest.mark.parametrize("write", [_write_ventana, _write_trestle])
def test_tiles_without_a_seam_in_common_are_a_tiff(
    tmp_path: Path, write: Callable[..., None]
) -> None:
    whole = np.random.default_rng(4).integers(0, 255, (2 * _TILE, 2 * _TILE, 3), dtype=np.uint8)
    write(tmp_path / "s.tif", whole, 0, 0)
    with open_slide(tmp_path / "s.tif") as slide:
        assert slide.format.startswith("TIFF")
        assert np.array_equal(slide.levels[0].compute(), whole)


@pytest.mark.parametrize("write", [_write_ventana, _write_trestle])
def test_over_the_network_they_are_refused(
    tmp_path: Path, scanned: np.ndarray, write: Callable[..., None]
) -> None:
    write(tmp_path / "s.bif", scanned, _ACROSS, _DOWN)
    with (
        slide_server(tmp_path) as server,
        pytest.raises(UserError, match=r"^s\.bif is made of tiles that overlap.*fetch it first\.$"),
    ):
        open_slide(f"{server.address}/s.bif")
