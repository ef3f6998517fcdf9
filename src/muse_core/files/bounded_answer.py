"""Responses of web servers with a limit on their size. Importing this module loads aiohttp."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from aiohttp import ClientResponse

from muse_core.files import remote

if TYPE_CHECKING:
    from aiohttp.connector import Connection

_ASKED = re.compile(r"bytes=(\d+)-")
_GIVEN = re.compile(r"bytes (\d+)-")


class BoundedAnswer(ClientResponse):
    """A response of aiohttp whose decompressed body must not exceed a limit, nor come too slowly.

    Its head must be there within the patience: the timeout of a read begins anew with each byte.

    A part of a file must be the one that was requested: a cache in between may answer with another
    one, whose bytes would be taken for pixels.
    """

    async def start(self, connection: Connection) -> BoundedAnswer:
        """Wait for the head of the response.

        Raises:
            UnreachableError: It does not come, or too slowly.
        """
        try:
            await asyncio.wait_for(super().start(connection), remote.PATIENCE_S)
        except TimeoutError as error:
            self.close()
            why = f"it has not begun to answer after {remote.PATIENCE_S:g} seconds"
            raise remote.unreachable(str(self.url), why) from error
        return self

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            UnreachableError: It is too large or too slow, or another part of a file than was
                requested.
        """
        if self._body is None:
            self._require_part()
            parts, size, begun_s = [], 0, time.monotonic()
            async for part in self.content.iter_any():
                size += len(part)
                if size > remote.LARGEST_ANSWER:
                    self.close()
                    megabytes = remote.LARGEST_ANSWER >> 20
                    raise remote.unreachable(
                        str(self.url), f"an answer has more than {megabytes} MB"
                    )
                passed_s = time.monotonic() - begun_s
                if passed_s > remote.PATIENCE_S and size < remote.SLOWEST_BYTES_S * passed_s:
                    self.close()
                    raise remote.unreachable(
                        str(self.url), f"it sends less than {remote.SLOWEST_BYTES_S} bytes a second"
                    )
                parts.append(part)
            # The attribute from which aiohttp takes text and JSON.
            self._body = b"".join(parts)
        return self._body

    def _require_part(self) -> None:
        asked = _ASKED.match(self.request_info.headers.get("Range", ""))
        given = _GIVEN.match(self.headers.get("Content-Range", ""))
        if self.status == 206 and asked and given and int(asked[1]) != int(given[1]):
            self.close()
            raise remote.unreachable(
                str(self.url), f"asked for byte {asked[1]} on, the server sends byte {given[1]} on"
            )
