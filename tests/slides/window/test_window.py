from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import zarr

from muse_core.errors import UserError
from muse_core.nuclei.store.identity import identify_slide
from muse_core.slides import Region, open_slide, slide_from_arrays
from muse_core.slides.arrays import arrays_source
from muse_core.slides.slide import Slide
from muse_core.slides.window import WindowServer, job_variables
from muse_core.slides.window.graph import MAX_PACKED_BYTES, packed_arrays
from muse_core.slides.window.key import read_address, safe_name

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (1500, 2100, 3), dtype=np.uint8)


@pytest.fixture
def server() -> Iterator[WindowServer]:
    made = WindowServer()
    yield made
    made.close()


@pytest.fixture
def as_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has the key that a window gives its jobs."""
    for name, value in job_variables().items():
        monkeypatch.setenv(name, value)


def _lend(server: WindowServer, levels: Any, name: str = "tissue") -> tuple[Path, Slide]:
    source = arrays_source(levels, name)
    path = server.file_for(name, source.levels[0].fingerprint())  # type: ignore[attr-defined]
    slide = Slide(replace(source, path=path, mpp=0.25))
    server.lend(slide)
    return path, slide


_READ = """
import sys, numpy as np
from muse_core.slides import open_slide
with open_slide(sys.argv[1]) as slide:
    kind = type(slide.source.levels[0]).__name__
    np.save(sys.argv[2], slide.read(slide.bounds))
    print(kind, slide.name, slide.downsamples)
"""


def _read_in_a_job(path: Path, out: Path) -> tuple[str, npt.NDArray[np.uint8]]:
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path), str(out)],
        env=os.environ | job_variables(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), np.load(out)


@pytest.mark.parametrize(
    ("levels", "how"),
    [
        (RGB, "_WindowLevel"),
        ([RGB, RGB[::2, ::2]], "_WindowLevel"),
        (RGB.transpose(2, 0, 1), "_WindowLevel"),
        (RGB.astype(np.uint16) * 257, "_WindowLevel"),
        (da.random.default_rng(0).integers(0, 256, RGB.shape, np.uint8), "ArraysLevel"),
    ],
    ids=["numpy", "pyramid", "channels first", "16 bits", "a graph without pixels"],
)
@pytest.mark.usefixtures("as_job")
def test_a_job_reads_the_pixels_of_the_window(server: WindowServer, levels: Any, how: str) -> None:
    path, slide = _lend(server, levels)
    with open_slide(path) as found:
        assert type(found.source.levels[0]).__name__ == how
        assert np.array_equal(found.read(found.bounds), slide.read(slide.bounds))
        assert (found.name, found.downsamples) == ("tissue", slide.downsamples)
        assert (found.mpp, found.is_file, found.notes) == (0.25, False, slide.notes)


def test_a_zarr_is_read_by_the_job_itself(server: WindowServer, tmp_path: Path) -> None:
    stored = zarr.create_array(
        tmp_path / "z.zarr", shape=RGB.shape, chunks=(256, 256, 3), dtype="u1"
    )
    stored[:] = RGB
    path, _ = _lend(server, stored)
    said, pixels = _read_in_a_job(path, tmp_path / "pixels.npy")
    assert np.array_equal(pixels, RGB)
    assert said.startswith("ArraysLevel")


def test_what_gives_other_pixels_in_the_job_is_read_by_the_window(
    server: WindowServer, tmp_path: Path
) -> None:
    def of_this_process(block: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        import os

        pid = os.getpid()
        return np.full_like(block, [pid & 255, pid >> 8 & 255, pid >> 16 & 255])

    levels = da.zeros((600, 700, 3), dtype=np.uint8, chunks=(256, 256, 3)).map_blocks(
        of_this_process, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8)
    )
    path, slide = _lend(server, levels)
    said, pixels = _read_in_a_job(path, tmp_path / "pixels.npy")
    assert np.array_equal(pixels, slide.read(slide.bounds))
    assert said.startswith("_WindowLevel")


def test_a_graph_that_cannot_travel_or_carries_pixels_is_not_sent() -> None:
    lock = threading.Lock()

    def locked(block: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        with lock:
            return block

    zeros = da.zeros((600, 700, 3), dtype=np.uint8, chunks=(256, 256, 3))
    big = np.zeros((MAX_PACKED_BYTES // 3000 + 10, 1000, 3), np.uint8)
    for levels in (RGB, zeros.map_blocks(locked), da.from_array(big, chunks=(512, 512, 3))):
        assert packed_arrays(slide_from_arrays(levels).source.levels) == b""
    assert 0 < len(packed_arrays(slide_from_arrays(zeros).source.levels)) < 100_000


def test_only_jobs_of_the_window_read_it(
    server: WindowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = _lend(server, RGB)
    with open_slide(path) as own:
        assert own.name == "tissue", "a window can read its own"
    monkeypatch.setattr(multiprocessing.current_process(), "authkey", b"of another process")
    variable = next(iter(job_variables()))
    for value in (b"another key".hex(), "", "no hexadecimal"):
        monkeypatch.setenv(variable, value)
        with pytest.raises(UserError, match="another napari window; only the MUSE panel"):
            open_slide(path)


@pytest.mark.usefixtures("as_job")
def test_a_window_that_has_gone_is_said_so(server: WindowServer) -> None:
    path, _ = _lend(server, RGB)
    folder = path.parent.parent
    slide = open_slide(path)
    content = path.read_bytes()
    server.close()
    assert not folder.exists()
    with pytest.raises(UserError, match="napari window that showed tissue has been closed"):
        slide.read(slide.bounds)
    with pytest.raises(UserError, match="no file"):
        open_slide(path)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(UserError, match="has been closed"):
        open_slide(path)


@pytest.mark.usefixtures("as_job")
def test_an_image_that_is_removed_frees_its_memory_but_for_the_jobs_that_read_it(
    server: WindowServer,
) -> None:
    path, slide = _lend(server, RGB)
    reading = open_slide(path)
    del slide
    gc.collect()
    assert np.array_equal(reading.read(Region(10, 20, 30, 40)), RGB[20:60, 10:40])
    # The connection that held it ends with the job.
    reading.close()
    for _ in range(200):
        gc.collect()
        if not [t for t in threading.enumerate() if t.name == "muse-lend"]:
            break
        time.sleep(0.02)
    with pytest.raises(UserError, match="no longer open in the napari window"):
        open_slide(path)


@pytest.mark.usefixtures("as_job")
def test_many_threads_read_at_once(server: WindowServer) -> None:
    path, _ = _lend(server, RGB)
    wrong: list[int] = []
    with open_slide(path) as slide:

        def read(i: int) -> None:
            for k in range(10):
                x, y = (i * 131 + k * 17) % 2000, (i * 71 + k * 29) % 1400
                if not np.array_equal(
                    slide.read(Region(x, y, 64, 64)), RGB[y : y + 64, x : x + 64]
                ):
                    wrong.append(i)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not wrong


def test_a_job_that_is_killed_leaves_nothing_behind(server: WindowServer, tmp_path: Path) -> None:
    path, slide = _lend(server, RGB)
    script = (
        "import sys, time\nfrom muse_core.slides import open_slide\n"
        "slide = open_slide(sys.argv[1])\nslide.read(slide.bounds)\nprint('on', flush=True)\n"
        "time.sleep(600)"
    )
    before = set(Path("/dev/shm").glob("psm_*"))
    job = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        env=os.environ | job_variables(),
        stdout=subprocess.PIPE,
    )
    assert job.stdout is not None
    assert job.stdout.readline().strip() == b"on"
    job.kill()
    job.wait(30)
    job.stdout.close()
    after = set(Path("/dev/shm").glob("psm_*"))
    assert after <= before
    _, pixels = _read_in_a_job(path, tmp_path / "pixels.npy")
    assert np.array_equal(pixels, slide.read(slide.bounds))
    for _ in range(200):
        if not [t for t in threading.enumerate() if t.name == "muse-lend"]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("a thread still serves a job that is dead")


@pytest.mark.usefixtures("as_job")
def test_no_thread_waits_for_a_job_once_it_is_closed(server: WindowServer) -> None:
    path, _ = _lend(server, RGB)
    with open_slide(path) as slide:
        slide.read(Region(0, 0, 9, 9))
        serving = [t for t in threading.enumerate() if t.name == "muse-lend"]
        assert serving
        server.close()
        for thread in serving:
            thread.join(10)
        assert not any(thread.is_alive() for thread in serving)


def test_it_closes_also_where_nobody_waits_for_connections_any_more(server: WindowServer) -> None:
    path, _ = _lend(server, RGB)
    serving = server._serving
    assert serving is not None
    # A job connects just when the server closes: the waiting thread accepts it and ends.
    serving._closed = True
    serving._wake()
    serving._accepting.join(10)
    assert not serving._accepting.is_alive()
    serving._closed = False
    closing = threading.Thread(target=server.close, daemon=True)
    closing.start()
    closing.join(30)
    assert not closing.is_alive()
    assert not path.exists()


@pytest.mark.usefixtures("as_job")
def test_the_server_outlives_nonsense(server: WindowServer) -> None:
    path, _ = _lend(server, RGB)
    address = read_address(path.parent.parent)
    assert address is not None
    image = json.loads(path.read_bytes())["fingerprint"]
    key = bytes.fromhex(next(iter(job_variables().values())))
    for sent in (
        b"",
        b"no json",
        b"[]",
        b"{}",
        b"x" * 10_000,
        json.dumps({"image": image, "what": "read", "level": 9, "area": [0, 0, 1, 1]}).encode(),
    ):
        # On Windows the sender of too much is hung up on before all is sent.
        with Client(address, authkey=key) as rude, contextlib.suppress(BrokenPipeError):
            rude.send_bytes(sent)
    with Client(address, authkey=key) as rude:
        for area in ([0, 0, 0, 0], [-1, 0, 5, 5], [0, 0, 9_999, 5]):
            request = {"image": image, "what": "read", "level": 0, "area": area}
            rude.send_bytes(json.dumps(request).encode())
            assert b"pixels that there are not" in rude.recv_bytes()
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(Region(0, 0, 9, 9)), RGB[:9, :9])


def test_the_file_is_the_identity_of_the_image(server: WindowServer) -> None:
    """Annotations are found by the fingerprint, whichever window shows the image by what name."""
    other = WindowServer()
    try:
        one, _ = _lend(server, RGB, "one")
        two, _ = _lend(other, da.from_array(RGB, chunks=(512, 400, 3)), "two/named: else")
        assert identify_slide(one).same_content(identify_slide(two))
        assert two.name == "two-named- else.layer"
        third, _ = _lend(server, RGB[::-1], "one")
        assert not identify_slide(one).same_content(identify_slide(third))
        assert _lend(server, RGB, "again")[0] == one
    finally:
        other.close()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a", "a"),
        ("..", "image"),
        ("", "image"),
        ("a/b\\c", "a-b-c"),
        ("x" * 300, "x" * 80),
        ("/Nul", "_Nul"),
    ],
)
def test_names_of_layers_become_names_of_files(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.usefixtures("as_job")
@pytest.mark.parametrize(
    "content", [b"", b'"no"}', b'"fingerprint": 3}', b'"fingerprint": "../x"}']
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.layer"
    path.write_bytes(b'{"muse_layer": 1, ' + content)
    with pytest.raises(UserError, match="is damaged"):
        open_slide(path)


@pytest.mark.parametrize("address", [["10.0.0.1", 80], "\\\\elsewhere\\pipe\\x", 5, None, {}])
def test_no_other_machine_is_asked(tmp_path: Path, address: Any) -> None:
    (tmp_path / "address").write_text(json.dumps(address))
    assert read_address(tmp_path) is None
