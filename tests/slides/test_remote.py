"""Slides over http and S3 equal those on disk, also over slow and unreliable connections."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from cachetools import LRUCache
from hypothesis import given, settings
from hypothesis import strategies as st
from ome_zarr.writer import write_image

from muse_core.detect import DetectConfig, Detector
from muse_core.detect.detector import DetectListener
from muse_core.detect.kept_run import RunPlace, kept_run
from muse_core.errors import UserError
from muse_core.files import remote
from muse_core.files.remote import RemoteFile, UnreachableError
from muse_core.nuclei.store import identify_slide
from muse_core.slides import Region, Slide, open_slide
from muse_core.slides.level import PieceCache
from muse_core.slides.tiff.level import TiffLevel

from ..cli.running import run
from ..detect.blobs import BlobModel, scene
from ..job_inputs import write_model
from .slide_server import SlideServer, slide_server

pytestmark = pytest.mark.filterwarnings("ignore")
REGIONS = (Region(0, 0, 700, 500), Region(133, 71, 250, 180), Region(-20, 400, 100, 200))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    rgb = scene(700, 500).rgb
    with tifffile.TiffWriter(root / "s.tiff", bigtiff=True) as tif:
        for step in (1, 2, 4):
            tif.write(
                rgb[::step, ::step],
                tile=(64, 64),
                photometric="rgb",
                compression="zlib",
                subfiletype=int(step > 1),
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    group = zarr.open_group(root / "s.zarr", mode="w")
    write_image(
        np.moveaxis(rgb, -1, 0),
        group,
        axes="cyx",
        scale_factors=[2],
        storage_options={"chunks": (3, 64, 64)},
    )
    (root / "s.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (root / "notes").write_bytes(bytes(100))
    return root


@pytest.fixture
def server(folder: Path) -> Iterator[SlideServer]:
    with slide_server(folder) as state:
        yield state


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pauses between retries."""
    for name in ("muse_core.files.remote", "muse_core.slides.ome_zarr.remote_store"):
        monkeypatch.setattr(f"{name}.RETRY_AFTER_S", (0.0, 0.0, 0.0))


@pytest.mark.parametrize("name", ["s.tiff", "s.zarr"])
def test_pixels_and_facts_are_those_of_the_file(
    server: SlideServer, folder: Path, name: str
) -> None:
    far = open_slide(f"{server.address}/{name}")
    near = open_slide(folder / name)
    with far, near:
        assert (far.name, far.width, far.height, far.mpp) == (
            near.name,
            near.width,
            near.height,
            near.mpp,
        )
        assert far.downsamples == near.downsamples
        for region in REGIONS:
            for mpp in (None, 1.0) if near.mpp else (None,):
                np.testing.assert_array_equal(far.read(region, mpp), near.read(region, mpp))


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("name", ["s.tiff", "s.zarr"])
def test_answers_that_break_off_are_asked_for_again(
    server: SlideServer, folder: Path, name: str
) -> None:
    server.drop_every = 7
    with open_slide(f"{server.address}/{name}") as far, open_slide(folder / name) as near:
        for region in REGIONS:
            np.testing.assert_array_equal(far.read(region), near.read(region))


def test_few_requests_and_few_bytes_more_than_needed(server: SlideServer, folder: Path) -> None:
    with open_slide(f"{server.address}/s.tiff") as far:
        server.requests.clear()
        far.read(Region(0, 0, 640, 448))
        tiles = 10 * 7
        assert len(server.requests) <= tiles // 7
        size = (folder / "s.tiff").stat().st_size
        assert sum(count for _, count in server.requests) <= size
        server.requests.clear()
        far.read(Region(0, 0, 640, 448))
        assert server.requests == []


@pytest.mark.usefixtures("hasty")
def test_a_server_that_dies_stops_the_run_which_goes_on_when_it_is_back(
    server: SlideServer, folder: Path, tmp_path: Path
) -> None:
    config = DetectConfig(device="cpu", tile_px=192, halo_px=32, batch=2, readers=2)
    with open_slide(folder / "s.tiff") as near:
        expected = Detector(BlobModel(), config).detect(near).table
    place = RunPlace(tmp_path / "run", {})

    def die(done: int, total: int, message: str) -> None:
        server.down = done >= 4

    with open_slide(f"{server.address}/s.tiff") as far:
        keep_little(far)
        with pytest.raises(UnreachableError, match="cannot be read"), kept_run(place) as run:
            Detector(BlobModel(), config).detect(far, listener=DetectListener(die), run=run)
    server.down = False
    server.delay_s = 0.05
    server.drop_every = 5
    with open_slide(f"{server.address}/s.tiff") as far, kept_run(place) as run:
        result = Detector(BlobModel(), config).detect(far, run=run)
        assert result.tiles_resumed >= 4
        assert result.unreadable == ()
        assert result.table.equals(expected)


def keep_little(slide: Slide) -> None:
    """Make the cache so small that parts of a file as small as this one are requested again."""
    for level in slide.source.levels:
        assert isinstance(level, TiffLevel)
        level.share_cache(PieceCache(1), 0)
        assert level._remote is not None
        level._remote._parts = LRUCache(1 << 14, getsizeof=len)


def test_the_same_slide_is_known_wherever_it_lies(server: SlideServer, folder: Path) -> None:
    assert identify_slide(f"{server.address}/s.tiff") == identify_slide(folder / "s.tiff")
    once, again = (identify_slide(f"{server.address}/s.zarr") for _ in range(2))
    assert once == again
    assert once.name == "s.zarr"


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.tiff", "There is no file"),
        ("missing.zarr", "is not a readable OME-Zarr"),
        ("s.png", "only TIFF and OME-Zarr"),
        ("notes", "only TIFF and OME-Zarr"),
    ],
)
def test_what_is_no_slide_is_one_sentence(server: SlideServer, name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        open_slide(f"{server.address}/{name}")


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("name", ["s.zarr", "s.tiff", "s"])
def test_an_answer_without_an_end_is_not_waited_for(
    server: SlideServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(remote, "LARGEST_ANSWER", 4 << 20)
    server.endless = True
    with pytest.raises(UserError, match=r"more than 4 MB|does not say how large|whole files"):
        open_slide(f"{server.address}/{name}")


def test_what_unfolds_has_an_end_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "LARGEST_ANSWER", 4 << 20)
    with slide_server(tmp_path) as state:
        state.folded = gzip.compress(bytes(64 << 20))
        with pytest.raises(UnreachableError, match="more than 4 MB"):
            open_slide(f"{state.address}/s.zarr")


@pytest.mark.usefixtures("hasty")
def test_servers_that_cannot_be_read_from_are_one_sentence(server: SlideServer) -> None:
    server.parts = False
    with pytest.raises(UserError, match="gives only whole files"):
        open_slide(f"{server.address}/s.tiff")
    server.down = True
    with pytest.raises(UnreachableError, match="cannot be read"):
        open_slide(f"{server.address}/s.tiff")
    for address, sentence in (
        ("http://127.0.0.1:9/s.tiff", "cannot be read"),
        ("http://127.0.0.1:9/s.zarr", "cannot be read"),
        ("file:///etc/passwd", "file:// cannot be read"),
        ("ftp://somewhere/s.tiff", "ftp:// cannot be read"),
    ):
        with pytest.raises(UserError, match=sentence):
            open_slide(address)


def test_s3(server: SlideServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A bucket is a folder here: for reading public objects this server is S3 enough.
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.address)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (folder / "bucket").symlink_to(folder) if not (folder / "bucket").exists() else None
    with open_slide("s3://bucket/s.tiff") as far, open_slide(folder / "s.tiff") as near:
        np.testing.assert_array_equal(far.read(REGIONS[1]), near.read(REGIONS[1]))
        assert identify_slide("s3://bucket/s.tiff") == identify_slide(folder / "s.tiff")


def test_a_closed_slide_is_read_no_more(server: SlideServer) -> None:
    slide = open_slide(f"{server.address}/s.tiff")
    slide.close()
    with pytest.raises(UserError, match="closed"):
        slide.read(REGIONS[1])


@given(
    parts=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 500)), min_size=1, max_size=12)
)
@settings(max_examples=12, deadline=None)
def test_parts_are_those_of_the_file_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int]]
) -> None:
    data = np.random.default_rng(0).bytes(4000)
    root = tmp_path_factory.mktemp("parts")
    (root / "f").write_bytes(data)
    with slide_server(root) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "_GAP", 100)
        patch.setattr(remote, "_LONGEST", 1000)
        file = RemoteFile(f"{server.address}/f")
        wanted = [(start, count) for start, count in parts if start + count <= len(data)]
        expected = [data[start : start + count] for start, count in wanted]
        assert file.fetch(wanted) == expected
        assert file.fetch(wanted[::-1]) == expected[::-1]


def test_the_command_line_takes_an_address(
    server: SlideServer, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model(tmp_path / "m.safetensors")
    far, near = tmp_path / "far.csv", tmp_path / "near.csv"
    address = f"{server.address}/s.tiff"
    assert run("detect", address, "--out", far, "--model", model) == 0
    assert run("detect", folder / "s.tiff", "--out", near, "--model", model) == 0
    assert far.read_bytes() == near.read_bytes()
    many = tmp_path / "many"
    assert run("detect", address, "--out", many, "--format", "csv", "--model", model) == 0
    assert (many / "s.csv").read_bytes() == near.read_bytes()
    capsys.readouterr()
    assert run("info", address) == 0
    told = capsys.readouterr().out
    assert run("info", folder / "s.tiff") == 0
    assert capsys.readouterr().out == told
    for command in (("features", "--out", tmp_path / "f"), ("rois", "--out", tmp_path / "r")):
        assert run(*command, address, "--points", near) == 2
        assert f"error: {address} is an address" in capsys.readouterr().err
    capsys.readouterr()
    missing = f"{server.address}/none.tiff"
    assert run("detect", missing, "--out", tmp_path / "n.csv", "--model", model) == 2
    assert "There is no file" in capsys.readouterr().err
