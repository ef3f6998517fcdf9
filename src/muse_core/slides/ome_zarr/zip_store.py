"""Zarr folders in a zip archive (.zarr.zip, .ozx), read without unpacking."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muse_core.errors import UserError
from muse_core.slides.ome_zarr.images import METADATA_FILES

if TYPE_CHECKING:
    import zarr

_ZIP = b"PK\x03\x04"
_LARGEST_ENTRY = 1 << 30
"""Entries are unpacked whole, chunk by chunk; a larger one is no chunk of an image."""


def zarr_root(path: Path) -> str | None:
    """Return the path of a Zarr group in a zip archive, "" for its top; None where there is none.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return None
    tops = ["", *sorted({name.split("/", 1)[0] + "/" for name in names if "/" in name})]
    known = set(names)
    return next(
        (top.rstrip("/") for top in tops if any(top + m in known for m in METADATA_FILES)), None
    )


def why_no_zarr(path: Path) -> str:
    """Why a zip archive holds no image that can be read; "" for a file that is no archive.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            return ""
    if not zipfile.is_zipfile(path):
        return "is a zip archive that is damaged or truncated"
    return "is a zip archive without an OME-Zarr at its top or in a folder there"


@dataclass(frozen=True)
class ZippedGroup:
    """A Zarr group in an open archive.

    Attributes:
        group: The group.
        close: Closes the archive.
        names: Of all files in the archive.
    """

    group: zarr.Group
    close: Callable[[], None]
    names: frozenset[str]

    def has_file(self, name: str) -> bool:
        """Whether the archive has a file."""
        return name in self.names

    def has_pixels(self, array: str) -> bool:
        """Whether an array, by its path, has more than metadata."""
        return any(
            name.startswith(f"{array}/")
            and name.rsplit("/", 1)[-1] not in (".zarray", *METADATA_FILES)
            for name in self.names
        )


def open_zipped(path: Path) -> ZippedGroup:
    """Open the Zarr group in an archive.

    Raises:
        UserError: An entry claims to be larger than any chunk.
    """
    import zarr
    from zarr.storage import ZipStore

    root = zarr_root(path) or ""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.file_size > _LARGEST_ENTRY for entry in entries):
        raise UserError(f"{path.name} holds an entry that is too large to unpack.")
    names = frozenset(entry.filename for entry in entries if not entry.is_dir())
    store: Any = ZipStore(path, mode="r", read_only=True)
    return ZippedGroup(zarr.open_group(store, path=root, mode="r"), store.close, names)
