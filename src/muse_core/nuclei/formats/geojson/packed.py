"""Open GeoJSON files: plain, compressed with gzip, or zipped as QuPath exports them."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from muse_core.errors import UserError
from muse_core.ordinary import is_gzip

GZIP, ZIP = ".gz", ".zip"
_INSIDE = (".geojson", ".json")
_NOT_FILES = ("__MACOSX", ".")
"""Prefixes of names that file managers add to archives."""
# Level 1 is a fifth larger than the default and five times as fast.
_LEVEL = 1


@contextmanager
def opened_geojson(path: Path) -> Iterator[BinaryIO]:
    """Open a file of GeoJSON for reading, whatever packs it, and whatever its name says of gzip.

    Raises:
        UserError: A zip archive is damaged, locked, or holds no GeoJSON or several.
        OSError: The file cannot be read.
    """
    if is_gzip(path):
        with gzip.open(path, "rb") as file:
            yield cast(BinaryIO, file)
    elif path.suffix.lower() == ZIP:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive)) as file:
                yield cast(BinaryIO, file)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            # RuntimeError: it wants a password.
            raise UserError(f"{path.name} is a zip archive that cannot be unpacked.") from error
    else:
        with path.open("rb") as file:
            yield file


@contextmanager
def packed(path: Path, name: str) -> Iterator[Any]:
    """Open a file for writing, packed as its final name says.

    Args:
        path: Where to write.
        name: The final name.
    """
    suffix = PurePosixPath(name.lower()).suffix
    if suffix == GZIP:
        with gzip.open(path, "wb", compresslevel=_LEVEL) as file:
            yield file
    elif suffix == ZIP:
        stem = name[: -len(ZIP)]
        inside = stem if stem.lower().endswith(_INSIDE) else f"{stem}{_INSIDE[0]}"
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive,
            archive.open(inside, "w", force_zip64=True) as file,
        ):
            yield file
    else:
        with path.open("wb") as file:
            yield file


def holds_geojson(path: Path) -> bool:
    """Whether a zip archive holds one file of GeoJSON, by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            _only_member(archive)
    except (OSError, UserError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False
    return True


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    found = [
        entry
        for entry in archive.infolist()
        if entry.filename.lower().endswith(_INSIDE)
        and not any(p.startswith(_NOT_FILES) for p in PurePosixPath(entry.filename).parts)
    ]
    name = Path(archive.filename or "").name
    if len(found) != 1:
        what = f"{len(found)} files" if found else "no file"
        raise UserError(f"{name} holds {what} of GeoJSON; one is needed, so unpack it and choose.")
    return found[0]
