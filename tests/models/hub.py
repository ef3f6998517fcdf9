"""A local server that answers like the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """State of the server.

    Attributes:
        files: Content by path below the server's root.
        damaged: Whether it sends other bytes than those the checksum is for.
        cut: Whether it breaks off halfway.
        downloads: Number of times it has sent a file.
        url: Its address.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    damaged: bool = False
    cut: bool = False
    downloads: int = 0
    url: str = ""

    def put(self, file_name: str, content: bytes) -> None:
        self.files[f"/Alibaba-DAMO-Academy/MUSE/resolve/main/{file_name}"] = content


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    """Serves the files in ``hub`` like the Hub."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._head()

        def do_GET(self) -> None:
            content = self._head()
            if content is None:
                return
            hub.downloads += 1
            if hub.damaged:
                content = content[:-1] + bytes([content[-1] ^ 1])
            self.wfile.write(content[: len(content) // 2] if hub.cut else content)
            if hub.cut:
                self.close_connection = True

        def _head(self) -> bytes | None:
            content = hub.files.get(self.path.split("?")[0].replace(COMMIT, "main"))
            if content is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            start = 0
            wanted = self.headers.get("Range", "")
            if wanted.startswith("bytes="):
                start = int(wanted.removeprefix("bytes=").split("-")[0])
            self.send_response(206 if start else 200)
            digest = hashlib.sha256(content).hexdigest()
            for name, value in (
                ("X-Repo-Commit", COMMIT),
                ("ETag", f'"{digest}"'),
                ("X-Linked-Etag", f'"{digest}"'),
                ("X-Linked-Size", str(len(content))),
                ("Content-Length", str(len(content) - start)),
                ("Accept-Ranges", "bytes"),
            ):
                self.send_header(name, value)
            if start:
                last = len(content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
            self.end_headers()
            return content[start:]

    return Handler


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
