"""A zarr store on the network that retries failed requests."""

from __future__ import annotations

import asyncio
from typing import Any

from zarr.storage import FsspecStore, WrapperStore

from muse_core.files.remote import (
    RETRY_AFTER_S,
    UnreachableError,
    file_system,
    is_refusal,
    unreachable,
)
from muse_core.slides.ome_zarr.images import METADATA_FILES

_METADATA = (*METADATA_FILES, ".zarray")


class PatientStore(WrapperStore[Any]):
    """Wraps another store and retries its reads.

    Metadata that are forbidden or no JSON count as missing: some servers answer so for files they
    do not have, and zarr asks for the metadata files of both versions.

    Attributes:
        address: Of the store.
        refused: Whether a metadata file was forbidden.
    """

    address = ""
    refused = False

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """See zarr's Store.get.

        Raises:
            UnreachableError: The server does not give it, however often it is asked.
        """
        metadata = key.rpartition("/")[2] in _METADATA
        for pause_s in (*RETRY_AFTER_S, None):
            try:
                answer = await self._store.get(key, prototype, byte_range)
                return None if metadata and _is_page(answer) else answer
            except UnreachableError:
                raise
            except Exception as error:
                if metadata and is_refusal(error):
                    self.refused = True
                    return None
                if is_refusal(error):
                    raise unreachable(self.address, error) from error
                # Each library has errors of its own for a connection that breaks.
                if pause_s is None:
                    raise unreachable(self.address, error) from error
            await asyncio.sleep(pause_s)
        return None


def _is_page(answer: Any) -> bool:
    """Whether an answer is empty or a web page."""
    start = b"<" if answer is None else answer.to_bytes().lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    return start in (b"", b"<")


def remote_store(address: str) -> PatientStore:
    """The store behind an address, to be read only.

    Raises:
        UserError: The address is of no known kind, or a package is missing.
    """
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    made, path = file_system(address)
    # zarr has a loop of its own, to which the file system must belong.
    options = {**made.storage_options, "asynchronous": True}
    fs = type(made)(**options) if made.async_impl else AsyncFileSystemWrapper(made)
    store = PatientStore(FsspecStore(fs, read_only=True, path=path.rstrip("/")))
    store.address = address
    return store
