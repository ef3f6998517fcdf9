"""A web server of a folder, with range requests, that can be slow, drop responses, or go down."""

from __future__ import annotations

import base64
import contextlib
import gzip
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

_POLL_S = 0.02
"""How often it looks whether to end: the default of half a second is what most tests would take."""


@dataclass
class SlideServer:
    """Address and behaviour; both may be changed while it runs.

    Attributes:
        address: Of its folder.
        delay_s: Delay before each response.
        drop_every: One of this many responses breaks off in the middle; 0 is none.
        down: Whether it does not respond at all.
        parts: Whether it supports range requests.
        shifted: How many bytes too far on each part begins.
        endless: Whether each response never ends.
        packs: Whether it compresses files for those who take that, and gives parts of the result.
        says_size: Whether responses state their length.
        trickles: Whether contents come a byte at a time, fifty each second.
        hesitates: Whether heads of responses come a byte at a time, fifty each second.
        page: Web page that is the answer to every request, if any.
        folded: Compressed content of each response, if any.
        status: Status of every response, or 0 for the usual one.
        missing: Status and content of the response for what is not there.
        held: End of the paths that are answered only when the server ends, if any.
        login: User and password, joined by a colon, that requests must have, if any.
        signature: What the query of GET requests must hold, if anything; others are refused.
        requests: Paths and the number of bytes sent.
    """

    address: str = ""
    delay_s: float = 0.0
    drop_every: int = 0
    down: bool = False
    parts: bool = True
    shifted: int = 0
    endless: bool = False
    packs: bool = False
    says_size: bool = True
    trickles: bool = False
    hesitates: bool = False
    page: bytes = b""
    folded: bytes = b""
    status: int = 0
    missing: tuple[int, bytes] = (404, b"")
    held: str = ""
    login: str = ""
    signature: str = ""
    requests: list[tuple[str, int]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: SlideServer
    folder: Path
    ends: threading.Event

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, with_body: bool) -> None:
        time.sleep(self.state.delay_s)
        if self.state.held and self.path.endswith(self.state.held):
            self.ends.wait()
        if self.state.hesitates:
            self._trickle(b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 4000)
        if self.state.down or self.state.hesitates:
            self.close_connection = True
        elif self.state.status or not self._is_allowed(with_body):
            self._say(self.state.status or 403, b"", with_body)
        elif self.state.page:
            self._say(200, self.state.page, with_body)
        elif self.state.endless:
            self._go_on(with_body)
        elif self.state.folded:
            self._fold(with_body)
        else:
            self._give(with_body)

    def _is_allowed(self, with_body: bool) -> bool:
        state = self.state
        login = f"Basic {base64.b64encode(state.login.encode()).decode()}" if state.login else ""
        # A signature is for one kind of request.
        signed = with_body and state.signature in self.path.partition("?")[2]
        return login in ("", self.headers.get("Authorization")) and (signed or not state.signature)

    def _say(self, status: int, content: bytes, with_body: bool) -> None:
        self.send_response(status)
        self.send_header("Location", self.path)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if with_body else b"")

    def _go_on(self, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):
            while with_body:
                self.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        self.close_connection = True

    def _fold(self, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(self.state.folded)))
        self.end_headers()
        self.wfile.write(self.state.folded if with_body else b"")

    def _give(self, with_body: bool) -> None:
        state = self.state
        path = self.folder / unquote(self.path.partition("?")[0]).lstrip("/")
        if not path.is_file():
            self._say(*state.missing, with_body)
            return
        packed = state.packs and "gzip" in self.headers.get("Accept-Encoding", "")
        content = gzip.compress(path.read_bytes()) if packed else None
        start, count = 0, (size := path.stat().st_size if content is None else len(content))
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and state.parts:
            start = int(asked[1])
            count = max(0, min(int(asked[2] or size - 1), size - 1) - start + 1)
            start += state.shifted
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{start + count - 1}/{size}")
        else:
            self.send_response(200)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        if state.says_size:
            self.send_header("Content-Length", str(count))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.send_header("ETag", f'"{size}"')
        self.send_header("Last-Modified", "Sat, 28 Nov 2026 08:00:00 GMT")
        self.end_headers()
        state.requests.append((self.path, count if with_body else 0))
        if not with_body:
            return
        if state.drop_every and len(state.requests) % state.drop_every == 0:
            count //= 2
            self.close_connection = True
        if state.trickles:
            self._trickle(path.read_bytes()[start : start + count])
        elif count and content is not None:
            self.wfile.write(content[start : start + count])
        elif count:
            with contextlib.suppress(OSError), path.open("rb") as file:
                self.connection.sendfile(file, start, count)

    def _trickle(self, content: bytes) -> None:
        with contextlib.suppress(OSError):
            for value in content:
                self.wfile.write(bytes([value]))
                if self.ends.wait(0.02):
                    return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """With the default of 5, one of many simultaneous connections waits a second to be repeated."""


@contextlib.contextmanager
def slide_server(folder: Path) -> Iterator[SlideServer]:
    """Serve a folder from this machine."""
    state = SlideServer()
    ends = threading.Event()
    handler = type("Handler", (_Handler,), {"state": state, "folder": folder, "ends": ends})
    server = _Server(("127.0.0.1", 0), handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_S,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        ends.set()
        server.shutdown()
        server.server_close()
