"""Servers whose answers are not those of a file server: pages, refusals, errors, circles."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tifffile
import zarr
from ome_zarr.format import Format, FormatV04, FormatV05
from ome_zarr.writer import write_image

from muse_core.errors import UserError
from muse_core.files import remote
from muse_core.slides import Region, open_slide

from .slide_server import SlideServer, slide_server

PAGE = b"<!doctype html><html><body>Please sign in.</body></html>"
WHOLE = Region(0, 0, 96, 64)
FORMATS: dict[str, tuple[Literal[2, 3], Format]] = {
    "v2.zarr": (2, FormatV04()),
    "v3.zarr": (3, FormatV05()),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("answered")
    rgb = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    tifffile.imwrite(root / "s.tiff", rgb, photometric="rgb", tile=(32, 32))
    large = np.random.default_rng(1).integers(0, 255, (512, 512, 3), np.uint8)
    tifffile.imwrite(root / "large.tiff", large, photometric="rgb", tile=(64, 64))
    for name, (version, written) in FORMATS.items():
        group = zarr.open_group(root / name, mode="w", zarr_format=version)
        write_image(np.moveaxis(rgb, -1, 0), group, axes="cyx", scale_factors=[2], fmt=written)
    return root


@pytest.mark.parametrize("missing", [(200, PAGE), (200, b""), (403, b""), (401, PAGE)])
@pytest.mark.parametrize("name", FORMATS)
def test_metadata_that_are_not_there_may_be_answered_in_any_way(
    server: SlideServer, folder: Path, name: str, missing: tuple[int, bytes]
) -> None:
    """Of the two versions of Zarr one is there; storage of clouds says 403 for the other."""
    server.missing = missing
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far = open_slide(f"{server.address}/{name}")
    with far, open_slide(folder / name) as near:
        np.testing.assert_array_equal(far.read(WHOLE), near.read(WHOLE))


@pytest.mark.parametrize("name", ["large.tiff", "v2.zarr", "v3.zarr"])
@pytest.mark.parametrize("flaw", [{"packs": True}, {"says_size": False}])
def test_servers_that_compress_or_do_not_say_a_length_are_read(
    server: SlideServer, folder: Path, name: str, flaw: dict[str, bool]
) -> None:
    vars(server).update(flaw)
    with open_slide(f"{server.address}/{name}") as far, open_slide(folder / name) as near:
        np.testing.assert_array_equal(far.read(near.bounds), near.read(near.bounds))


@pytest.mark.parametrize("name", ["s.tiff", "v2.zarr", "v3.zarr"])
@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "may not be read"),
        (403, "may not be read"),
        (429, "cannot be read: the server answers 429, Too Many Requests"),
        (503, "cannot be read: the server answers 503, Service Unavailable"),
        (302, "cannot be read: it leads on to nothing that can be read"),
    ],
)
def test_what_a_server_answers_is_said(
    server: SlideServer, name: str, status: int, sentence: str
) -> None:
    server.status = status
    address = f"{server.address}/{name}"
    with pytest.raises(UserError) as refused:
        open_slide(address)
    assert str(refused.value) == f"{address} {sentence}."


def test_a_page_in_place_of_a_slide_is_called_one(server: SlideServer) -> None:
    server.page = PAGE
    with pytest.raises(UserError, match="answers with a web page and not with the file; it may"):
        open_slide(f"{server.address}/s.tiff")


@pytest.mark.parametrize(
    ("flaw", "sentence"),
    [
        ("trickles", "sends less than 1000 bytes a second"),
        ("hesitates", "cannot be read: it has not begun to answer after 0.1 seconds"),
    ],
)
@pytest.mark.parametrize("name", ["large.tiff", "v3.zarr"])
def test_an_answer_that_trickles_is_not_waited_for(
    server: SlideServer, monkeypatch: pytest.MonkeyPatch, name: str, flaw: str, sentence: str
) -> None:
    for module in ("muse_core.files.remote", "muse_core.slides.ome_zarr.remote_store"):
        monkeypatch.setattr(f"{module}.RETRY_AFTER_S", (0.0,))
    monkeypatch.setattr(remote, "PATIENCE_S", 0.1)
    setattr(server, flaw, True)
    with pytest.raises(UserError, match=sentence):
        open_slide(f"{server.address}/{name}")


def test_another_part_of_a_file_than_was_asked_for_is_no_pixels(server: SlideServer) -> None:
    """A cache between may answer with the right number of the wrong bytes."""
    with open_slide(f"{server.address}/large.tiff") as far:
        server.shifted = 32
        with pytest.raises(UserError, match=r"large.tiff cannot be read: asked for byte \d+ on"):
            far.read(Region(448, 448, 64, 64))


def test_pixels_that_may_not_be_read_are_no_glass(server: SlideServer, folder: Path) -> None:
    with open_slide(f"{server.address}/v3.zarr") as far:
        server.status = 403
        with pytest.raises(UserError, match="the server answers 403, Forbidden"):
            far.read(WHOLE)


def test_a_folder_with_metadata_of_both_versions_is_read_without_a_warning(
    folder: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both.zarr"
    both.symlink_to(folder / "v3.zarr")
    (folder / "v3.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_slide(both).close()
    (folder / "v3.zarr" / ".zgroup").unlink()


def test_nothing_follows_the_sentence_where_answers_are_still_to_come(folder: Path) -> None:
    script = (
        "import sys\nfrom muse_core.slides.ome_zarr import remote_store\n"
        "from muse_core.cli import main\n"
        "remote_store.RETRY_AFTER_S = (); main(['info', sys.argv[1]])"
    )
    with slide_server(folder) as server:
        server.status, server.held = 500, ".zattrs"
        address = f"{server.address}/v2.zarr"
        done = subprocess.run(
            [sys.executable, "-c", script, address], capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {address} cannot be read: the server answers 500, Internal Server Error.\n"
    )
