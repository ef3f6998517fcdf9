"""A zarr store in a folder that notices when the folder goes away."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

from zarr.storage import LocalStore, WrapperStore

from muse_core.slides.ome_zarr.images import is_zarr_folder


class FolderStore(WrapperStore[LocalStore]):
    """Wraps the store of a folder, of which a chunk that is not there counts as empty.

    If a share goes away, no chunk is there any more, and all of them would be read as black.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(LocalStore(root, read_only=True))
        self.root = root

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """See zarr's Store.get.

        Raises:
            FileNotFoundError: The folder has gone.
        """
        answer = await self._store.get(key, prototype, byte_range)
        if answer is None and not await asyncio.to_thread(is_zarr_folder, self.root):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root))
        return answer
