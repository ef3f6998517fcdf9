"""Remote files, over http(s), S3 and the like: read in parts, with retries.

Each request costs a round trip, so neighbouring parts are requested together and several at once.
All requests have timeouts and limits of size.
"""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cachetools import LRUCache

from muse_core.errors import UserError
from muse_core.files.names import portable

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
KINDS = ("http", "https", "s3", "gs", "gcs", "az", "abfs")
RETRY_AFTER_S = (0.2, 1.0, 3.0)
_CONNECT_S, _READ_S = 10.0, 60.0
_BLOCK = 1 << 18
_CACHE_BYTES = 64 << 20
_GAP = 1 << 16
"""Parts with a smaller gap are requested together: at 10 MB/s the gap takes 6 ms."""
LARGEST_ANSWER = 256 << 20
"""Limit of a response in bytes, against endless ones and decompression bombs."""
PATIENCE_S = 60.0
SLOWEST_BYTES_S = 1000
"""A response that after the patience is still slower than this on average is given up."""
_LONGEST = 8 << 20
"""Most bytes of parts that are requested together."""
_WEB_PAGE = "text/html"
_SIZE = re.compile(r"bytes 0-0/(\d+)")
_GRANTS = re.compile(
    r"x-(amz|goog|ms)-.*|.*(signature|token|secret|password|credential|api_?-?key|accessid).*"
    r"|awsaccesskeyid|key|key-pair-id|policy|expires|auth|sig|s[eiprtv]|sip|spr|sk[a-z]+",
    re.IGNORECASE,
)
"""Parameters of an address that grant access for a while; the short ones are those of Azure."""
Range = tuple[int, int]
"""Where a part begins, and how many bytes it has."""


class UnreachableError(UserError):
    """The whole remote file cannot be read any more, not just a part of it."""


def is_address(path: object) -> bool:
    """Whether a path is that of something on the network, such as https://..."""
    return isinstance(path, str) and ADDRESS.match(path) is not None


def without_secrets(address: str) -> str:
    """An address without user, password and signature, as it is shown and recorded.

    A slide whose address is signed anew, or a path of a file, stays the same.
    """
    if not is_address(address):
        return address
    kind, _, rest = address.partition("://")
    bare, _, query = rest.partition("?")
    host, slash, path = bare.partition("/")
    if kind.lower() not in ("az", "abfs"):  # where a container stands before the @
        host = host.rpartition("@")[2]
    kept = [p for p in query.split("&") if p and not _GRANTS.fullmatch(p.partition("=")[0])]
    return f"{kind}://{host}{slash}{path}{'?' if kept else ''}{'&'.join(kept)}"


def address_of_path(path: Path) -> str | None:
    """The address in a path, where "//" has become "/"; None if it is not an address.

    Commands that take only files turn all their arguments into paths.
    """
    kind, colon, rest = path.as_posix().partition(":/")
    return f"{kind}://{rest}" if colon and kind.lower() in KINDS else None


def file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Raises:
        UserError: It is of no known kind, or a package is missing.
    """
    kind = address.partition("://")[0].lower()
    if kind not in KINDS:
        raise UserError(f"{kind}:// cannot be read; these can: {', '.join(KINDS)}.")
    try:
        import fsspec

        return fsspec.core.url_to_fs(address, **_options(kind))  # type: ignore[no-any-return]
    except ImportError as error:
        raise UserError(
            f"Reading {kind}:// needs more packages: pip install napari-muse[remote]"
            f"{'' if kind in ('http', 'https', 's3') else f' and what fsspec needs for {kind}'}."
        ) from error
    except ValueError as error:
        shown = without_secrets(address)
        raise UserError(f"{shown} is no address that can be read: {error}.") from error


def _options(kind: str) -> dict[str, Any]:
    if kind in ("http", "https"):
        from aiohttp import ClientTimeout

        from muse_core.files.bounded_answer import BoundedAnswer

        wait = ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)
        # Parts of what a server has compressed are no parts of the file.
        plain = {"Accept-Encoding": "identity"}
        client = {"timeout": wait, "response_class": BoundedAnswer, "headers": plain}
        return {"client_kwargs": client, "skip_instance_cache": True}
    if kind == "s3":
        config = {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S}
        return {"config_kwargs": config, "anon": not _has_aws_keys()}
    return {}


def _has_aws_keys() -> bool:
    """Whether this user has keys for S3; without any, public buckets can still be read."""
    import botocore.session

    return botocore.session.Session().get_credentials() is not None


class RemoteFile(io.RawIOBase):
    """A remote file with random access; :meth:`fetch` may be called from several threads.

    Attributes:
        address: As given, without what grants access.
        name: Its last part.
        size: Bytes.
    """

    def __init__(self, address: str) -> None:
        """Check that the file exists; no content is read yet.

        Raises:
            UserError: It is not there, may not be read, or its server gives no parts of files.
        """
        self.address = without_secrets(address)
        self.name = name_of(address)
        self._fs, self._path = file_system(address)
        size = self._facts().get("size")
        if self._is_http:
            kind, told = self._persist(self._ask_for_a_part)
            if kind == _WEB_PAGE:
                raise UserError(
                    f"The server of {self.address} answers with a web page and not with the file;"
                    " it may ask for a login."
                )
            if kind is not None:
                raise UserError(
                    f"The server of {self.address} gives only whole files; fetch it first."
                )
            size = told or size
        if size is None:
            raise UserError(f"The server of {self.address} does not say how large it is.")
        self.size = int(size)
        self._at = 0
        self._lock = threading.Lock()
        self._parts: LRUCache[Range, bytes] = LRUCache(_CACHE_BYTES, getsizeof=len)

    def _facts(self) -> dict[str, Any]:
        try:
            facts = self._persist(lambda: self._fs.info(self._path))
        except FileNotFoundError as error:
            raise UserError(f"There is no file {self.address}.") from error
        except PermissionError as error:
            raise UserError(f"{self.address} may not be read.") from error
        if facts.get("type") == "directory":
            raise UserError(f"{self.address} is a folder.")
        return dict(facts)

    @property
    def _is_http(self) -> bool:
        return self.address.lower().startswith("http")

    def _ask_for_a_part(self) -> tuple[str | None, int | None]:
        """Ask a server for a part of the file.

        Returns:
            None where it answers with the part, else the type of what it answers with each time;
            and the size of the whole file if the server says it with the part.
        """
        from fsspec.asyn import sync

        async def ask() -> tuple[str | None, str]:
            session = await self._fs.set_session()
            url = self._fs.encode_url(self._path)
            async with session.get(url, headers={"Range": "bytes=0-0"}) as answer:
                answer.raise_for_status()
                kind = None if answer.status == 206 else answer.content_type
                return kind, answer.headers.get("Content-Range", "")

        kind, said = sync(self._fs.loop, ask)
        size = _SIZE.fullmatch(said)
        return kind, int(size[1]) if size else None

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """The place."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer, through a cache of blocks; returns the number of bytes."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size - self._at))
        first, last = self._at // _BLOCK, (self._at + max(0, count - 1)) // _BLOCK
        blocks = [self._block(number) for number in range(first, last + 1)] if count else []
        data = b"".join(self.fetch(blocks))
        start = self._at - first * _BLOCK
        view[:count] = data[start : start + count]
        self._at += count
        return count

    def _block(self, number: int) -> Range:
        start = number * _BLOCK
        return start, min(_BLOCK, self.size - start)

    def fetch(self, wanted: Sequence[Range]) -> list[bytes]:
        """Return parts of the file; those not in the cache are requested all at once.

        Raises:
            UnreachableError: The server does not give them, however often it is asked.
            UserError: It was closed.
        """
        if self.closed:
            raise UserError(f"{self.name} has been closed.")
        with self._lock:
            found = {part: self._parts.get(part) for part in wanted}
        missing = sorted(part for part, data in found.items() if data is None)
        spans = _together(missing)
        answers = self._from_server([span for span, _ in spans])
        for ((first, _), inside), answer in zip(spans, answers, strict=True):
            for start, count in inside:
                found[start, count] = answer[start - first : start - first + count]
        with self._lock:
            for part in missing:
                if part[1] <= _CACHE_BYTES:
                    self._parts[part] = found[part] or b""
        return [found[part] or b"" for part in wanted]

    def _from_server(self, spans: Sequence[Range]) -> list[bytes]:
        got: dict[Range, bytes] = {}
        for pause_s in (*RETRY_AFTER_S, None):
            left = [span for span in spans if span not in got]
            if not left:
                break
            answers = self._fs.cat_ranges(
                [self._path] * len(left),
                [start for start, _ in left],
                [start + count for start, count in left],
                on_error="return",
            )
            for span, answer in zip(left, answers, strict=True):
                if isinstance(answer, bytes) and len(answer) == span[1]:
                    got[span] = answer
                else:
                    problem = answer
            if len(got) < len(spans) and pause_s is None:
                raise self._unreachable(problem)
            if len(got) < len(spans):
                time.sleep(pause_s or 0)
        return [got[span] for span in spans]

    def _persist(self, ask: Any) -> Any:
        """Return the result of a request, repeated where it fails."""
        for pause_s in (*RETRY_AFTER_S, None):
            try:
                return ask()
            except PermissionError:
                raise
            except Exception as error:
                # Each library has errors of its own for a connection that breaks; fsspec's http
                # calls whatever goes wrong a missing file.
                cause = error.__cause__
                if cause is not None and is_refusal(cause):
                    raise PermissionError(self.address) from error
                status = getattr(cause, "status", None)
                there = self._is_http and status not in (404, 410)
                if isinstance(error, FileNotFoundError) and not there:
                    raise
                if pause_s is None:
                    raise self._unreachable(error) from error
            time.sleep(pause_s)
        return None

    def _unreachable(self, problem: object) -> UnreachableError:
        return unreachable(self.address, problem)


def unreachable(address: str, problem: object) -> UnreachableError:
    """The sentence on a server that gives nothing any more."""
    if isinstance(problem, UnreachableError):
        return problem
    shown = without_secrets(address)
    why = _why(problem).rstrip(".").replace(address, shown)
    return UnreachableError(f"{shown} cannot be read: {why}.")


def is_refusal(error: BaseException) -> bool:
    """Whether a server has denied access."""
    return isinstance(error, PermissionError) or getattr(error, "status", None) in (401, 403)


def _why(problem: object) -> str:
    if isinstance(problem, FileNotFoundError) and problem.__cause__ is not None:
        # fsspec's http calls whatever goes wrong a missing file, and says no more than its address.
        problem = problem.__cause__
    if isinstance(problem, str):
        return problem
    if not isinstance(problem, BaseException):
        return "it gives too little"
    lines = str(getattr(problem, "message", "") or problem).strip().splitlines()
    reason = lines[0] if lines else type(problem).__name__
    if "Redirect" in type(problem).__name__:
        return "it leads on to nothing that can be read"
    reason = reason.rstrip(":")
    status = getattr(problem, "status", None)
    return f"the server answers {status}, {reason}" if status else reason


def name_of(address: str) -> str:
    """The last part of an address, without what it asks for, as a file of any system has it."""
    bare = without_secrets(address).partition("?")[0].partition("#")[0].rstrip("/")
    name = unquote(bare) if bare.lower().startswith("http") else bare
    return portable((name if name.isprintable() else bare).rpartition("/")[2]) or portable(bare)


def _together(parts: Sequence[Range]) -> list[tuple[Range, list[Range]]]:
    """Join sorted parts to fewer, longer ones; returns each with the parts that lie in it."""
    spans: list[tuple[Range, list[Range]]] = []
    for start, count in parts:
        if spans:
            (first, length), inside = spans[-1]
            end = max(first + length, start + count)
            if start - (first + length) <= _GAP and end - first <= _LONGEST:
                spans[-1] = ((first, end - first), [*inside, (start, count)])
                continue
        spans.append(((start, count), [(start, count)]))
    return spans
