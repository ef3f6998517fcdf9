from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from muse_core.errors import UserError
from napari_muse.io import sample


def test_a_cached_sample_is_used(
    cmu_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_SAMPLE_DIR", str(tmp_path))
    target = tmp_path / "CMU-1-Small-Region.svs"
    shutil.copyfile(cmu_slide, target)
    assert sample.sample_slide_path() == target


def test_a_damaged_sample_is_not_used_and_no_source_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSE_SAMPLE_DIR", str(tmp_path))
    # No index, and a port without a server.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(sample, "_SITE", "http://127.0.0.1:9/")
    (tmp_path / "CMU-1-Small-Region.svs").write_bytes(b"damaged")
    with pytest.raises(UserError, match="could not be fetched"):
        sample.sample_slide_path()
    assert [p.name for p in tmp_path.iterdir()] == ["CMU-1-Small-Region.svs"]


Serve = Callable[[list[bytes]], ThreadingHTTPServer]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """A site that answers each request with the next content; there is no index."""
    servers: list[ThreadingHTTPServer] = []

    def start(contents: list[bytes]) -> ThreadingHTTPServer:
        class Site(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = contents.pop(0)
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("MUSE_SAMPLE_DIR", str(tmp_path / "samples"))
        monkeypatch.setattr(sample, "_SITE", f"http://127.0.0.1:{server.server_port}/")
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_download_that_came_damaged_is_fetched_again(cmu_slide: Path, serve: Serve) -> None:
    content = cmu_slide.read_bytes()
    serve([content[:-1] + b"?", content])
    path = sample.sample_slide_path()
    assert path.read_bytes() == content
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_is_not_the_sample_is_not_kept(tmp_path: Path, serve: Serve) -> None:
    answers = [b"sign in first"] * 3
    serve(answers)
    with pytest.raises(UserError, match="could not be fetched"):
        sample.sample_slide_path()
    assert len(answers) == 1
    assert list((tmp_path / "samples").iterdir()) == []


def test_a_site_cannot_fill_the_disk(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_MAX_BYTES", 5000)
    largest = 0
    write = sample._Bounded.write

    def watched(self: sample._Bounded, data: bytes) -> None:
        nonlocal largest
        write(self, data)
        largest = max(largest, self._file.tell())

    monkeypatch.setattr(sample._Bounded, "write", watched)
    serve([bytes(50_000)] * 2)
    with pytest.raises(UserError, match="could not be fetched"):
        sample.sample_slide_path()
    assert 0 < largest <= 5000
    assert list((tmp_path / "samples").iterdir()) == []
