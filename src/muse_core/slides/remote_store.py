"""A zarr store on the network that retries failed requests."""

from __future__ import annotations

import asyncio
from typing import Any

from zarr.storage import FsspecStore, WrapperStore

from muse_core.files.remote import RETRY_AFTER_S, UnreachableError, file_system, unreachable


class PatientStore(WrapperStore[Any]):
    """Wraps another store and retries its reads."""

    address = ""

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """See zarr's Store.get.

        Raises:
            UnreachableError: The server does not give it, however often it is asked.
        """
        for pause_s in (*RETRY_AFTER_S, None):
            try:
                return await self._store.get(key, prototype, byte_range)
            except UnreachableError:
                raise
            except Exception as error:
                # Each library has errors of its own for a connection that breaks.
                if pause_s is None:
                    raise unreachable(self.address, error) from error
            await asyncio.sleep(pause_s)
        return None


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
