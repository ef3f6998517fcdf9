"""Identity of the slide of a store: name, size and content rather than path."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from muse_core.errors import UserError, cannot
from muse_core.files import shortened, tree
from muse_core.files.remote import (
    RemoteFile,
    UnreachableError,
    is_address,
    name_of,
    without_secrets,
)
from muse_core.nuclei.recorded_slide import RecordedSlide, without_plane
from muse_core.ordinary import with_name

_SAMPLE_BYTES = 1 << 20
_METADATA = ("zarr.json", ".zattrs", ".zgroup")
_RECORDED_DIGITS = 16


@dataclass(frozen=True)
class SlideIdentity:
    """Identity of a slide by its content, wherever the file lies.

    Attributes:
        name: File name.
        size_bytes: Size; of a folder, of all its files.
        fingerprint: SHA-256 over samples of the content, hexadecimal; then "#" and image and plane
            of the file, as :attr:`muse_core.slides.Slide.part`, unless they are the default ones.
    """

    name: str
    size_bytes: int
    fingerprint: str

    @property
    def part(self) -> str:
        """Image and plane of the file, "" for the default ones."""
        return self.fingerprint.partition("#")[2]

    @property
    def tissue(self) -> str:
        """The fingerprint without the plane: the same for all planes of an image."""
        return without_plane(self.fingerprint)

    @property
    def recorded(self) -> RecordedSlide:
        """Return name and shortened fingerprint, for files of nuclei.

        The prefix "sha256:" keeps readers from parsing it as a number.
        """
        content, mark, part = self.fingerprint.partition("#")
        return RecordedSlide(self.name, f"sha256:{content[:_RECORDED_DIGITS]}{mark}{part}")

    @property
    def file_stem(self) -> str:
        """The file name, cut if it is long, and which image and plane, for further files."""
        part = self.part.replace("=", "").replace("&", "-")
        name = shortened(self.name)
        return f"{name}-{part}" if part else name

    def same_content(self, other: SlideIdentity) -> bool:
        """Whether both are the same slide, renamed or not."""
        return (self.size_bytes, self.fingerprint) == (other.size_bytes, other.fingerprint)


def identify_slide(path: str | Path, part: str = "") -> SlideIdentity:
    """Fingerprint a slide without reading all of it.

    A file is sampled at its start, middle and end, in milliseconds however large it is. Of a folder
    (OME-Zarr) the metadata files count and the names and sizes of the others, so the time grows
    with the number of its files. What file managers leave in folders does not count.

    Args:
        path: File or folder, or the address of one; the same file has the same fingerprint wherever
            it lies, a folder on the network one by its metadata.
        part: Which image and plane of it, as :attr:`muse_core.slides.Slide.part`.

    Raises:
        UserError: There is no such slide, or it cannot be read.
    """
    if is_address(path):
        return _identify_remote(str(path), part)
    source = with_name(path)
    digest = hashlib.sha256()
    try:
        if source.is_dir():
            size = _digest_folder(source, digest)
        else:
            size = source.stat().st_size
            _digest_file(source, size, digest)
    except OSError as error:
        raise cannot("read", source, error) from error
    digest.update(str(size).encode())
    content = digest.hexdigest()
    # Linux allows names that are no text, which neither a store nor a file of nuclei can hold.
    name = source.name.encode("utf-8", "replace").decode()
    return SlideIdentity(name, size, f"{content}#{part}" if part else content)


def _identify_remote(address: str, part: str) -> SlideIdentity:
    digest = hashlib.sha256()
    try:
        file = RemoteFile(address)
        size = file.size
        for data in file.fetch([(s, min(size - s, _SAMPLE_BYTES)) for s in _samples(size)]):
            digest.update(data)
    except UnreachableError:
        raise
    except UserError:
        size = _digest_remote_folder(address, digest)
    digest.update(str(size).encode())
    content = digest.hexdigest()
    return SlideIdentity(name_of(address), size, f"{content}#{part}" if part else content)


def _digest_remote_folder(address: str, digest: hashlib._Hash) -> int:
    """Return a digest of the metadata at its top; not every server lists what else is there."""
    total = 0
    digest.update(without_secrets(address).encode())
    for name in _METADATA:
        try:
            file = RemoteFile(f"{address.rstrip('/')}/{name}")
        except UnreachableError:
            raise
        except UserError:
            continue
        total += file.size
        digest.update(file.read(_SAMPLE_BYTES))
    return total


def _samples(size: int) -> tuple[int, int, int]:
    """Return the offsets of the samples of a file."""
    return 0, max(0, size // 2 - _SAMPLE_BYTES // 2), max(0, size - _SAMPLE_BYTES)


def _digest_file(path: Path, size: int, digest: hashlib._Hash) -> None:
    with path.open("rb") as file:
        for start in _samples(size):
            file.seek(start)
            digest.update(file.read(_SAMPLE_BYTES))


def _digest_folder(folder: Path, digest: hashlib._Hash) -> int:
    total = 0
    found = [p for p in tree(folder) if _is_of_slide(p.name) and p.is_file()]
    # Paths themselves are ordered without case on Windows, where the digest would be another one.
    for path in sorted(found, key=lambda p: p.parts):
        size = path.stat().st_size
        total += size
        digest.update(f"{path.relative_to(folder).as_posix()}:{size}".encode())
        if path.name.startswith(".z") or path.name == "zarr.json":
            digest.update(path.read_bytes()[:_SAMPLE_BYTES])
    return total


def _is_of_slide(name: str) -> bool:
    """Whether a file belongs to a Zarr folder by its name; a chunk never begins with a dot."""
    return name.startswith(".z") or not name.startswith(".")
