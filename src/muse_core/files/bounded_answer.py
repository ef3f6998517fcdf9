"""Responses of web servers with a limit on their size. Importing this module loads aiohttp."""

from __future__ import annotations

from aiohttp import ClientResponse

from muse_core.files import remote


class BoundedAnswer(ClientResponse):
    """A response of aiohttp whose decompressed body must not exceed a limit."""

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            UnreachableError: It is too large.
        """
        if self._body is None:
            parts, size = [], 0
            async for part in self.content.iter_any():
                size += len(part)
                if size > remote.LARGEST_ANSWER:
                    self.close()
                    megabytes = remote.LARGEST_ANSWER >> 20
                    raise remote.unreachable(
                        str(self.url), f"an answer has more than {megabytes} MB"
                    )
                parts.append(part)
            # Where aiohttp keeps it for whoever asks for text.
            self._body = b"".join(parts)
        return self._body
