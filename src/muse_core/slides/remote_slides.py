"""Slides on the network: TIFF and OME-Zarr, read in parts without downloading them."""

from __future__ import annotations

from muse_core.errors import UserError
from muse_core.files.remote import RemoteFile, UnreachableError, name_of
from muse_core.slides.choice import ImageChoice
from muse_core.slides.ome_zarr.reader import open_remote_ome_zarr
from muse_core.slides.slide import SlideSource
from muse_core.slides.tiff.reader import open_remote_tiff

_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_remote(address: str, choice: ImageChoice) -> SlideSource:
    """Open a slide at an address; only the parts that are read are transferred.

    Raises:
        UserError: There is nothing, or something that cannot be read in parts.
    """
    if name_of(address).lower().endswith(".zarr"):
        return open_remote_ome_zarr(address, choice)
    try:
        file = RemoteFile(address)
    except UnreachableError:
        raise
    except UserError as refusal:
        # A folder has no size, and on a web server no page of its own.
        try:
            return open_remote_ome_zarr(address, choice)
        except UserError:
            raise refusal from None
    head = file.read(4)
    file.seek(0)
    if head not in _TIFF_HEADS:
        raise UserError(
            f"{file.name} is no TIFF; over the network only TIFF and OME-Zarr can be read,"
            " so fetch it first."
        )
    return open_remote_tiff(file, choice)
