"""From a path to a Slide: which reader, and what is wrong with files that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from muse_core.errors import UserError
from muse_core.slides.image import open_image
from muse_core.slides.ome_zarr import open_ome_zarr
from muse_core.slides.openslide_reader import open_openslide
from muse_core.slides.slide import Slide, SlideSource
from muse_core.slides.tiff import open_tiff

_READERS: dict[str, Callable[[Path], SlideSource]] = {
    ".svs": open_tiff,
    ".tif": open_tiff,
    ".tiff": open_tiff,
    ".btf": open_tiff,
    ".ndpi": open_tiff,
    ".scn": open_tiff,
    ".zarr": open_ome_zarr,
    ".mrxs": open_openslide,
    ".vms": open_openslide,
    ".vmu": open_openslide,
    ".bif": open_openslide,
    ".svslide": open_openslide,
    ".dcm": open_openslide,
    ".png": open_image,
    ".jpg": open_image,
    ".jpeg": open_image,
}
READABLE_SUFFIXES: tuple[str, ...] = tuple(_READERS)
"""Lower-case file name endings that :func:`open_slide` knows."""


def can_open(path: str | Path) -> bool:
    """Whether the name looks like a slide; looks at the name only, so it costs nothing."""
    return _suffix(Path(path)) in _READERS


def open_slide(path: str | Path, mpp: float | None = None) -> Slide:
    """Open a slide for reading.

    Args:
        path: A file, or the folder of an OME-Zarr.
        mpp: Microns per level-0 pixel, in place of what the file says.

    Raises:
        UserError: The file is missing, empty, damaged or no supported image, or mpp is impossible.
    """
    source = Path(path)
    suffix = _suffix(source)
    try:
        if not source.exists():
            raise UserError(f"There is no file {source}.")
        if source.is_file() and source.stat().st_size == 0:
            raise UserError(f"{source.name} is empty (0 bytes).")
        _look_into(source)
    except PermissionError as error:
        raise _not_allowed(source, error) from error
    except OSError as error:
        raise UserError(f"Cannot open {source}: {error.strerror or error}.") from error
    reader = _READERS.get(suffix)
    if reader is None and source.is_dir():
        raise UserError(
            f"{source.name} is a folder; only OME-Zarr folders, named *.zarr, are slides."
        )
    if reader is None:
        known = ", ".join(READABLE_SUFFIXES)
        raise UserError(f"{source.name} has no known slide format; known endings are {known}.")
    if source.is_dir() != (suffix == ".zarr"):
        kind = (
            "a folder, not a slide file"
            if source.is_dir()
            else "a file, not a folder as OME-Zarr is"
        )
        raise UserError(f"{source.name} is {kind}.")
    try:
        opened = reader(source)
    except PermissionError as error:
        raise _not_allowed(source, error) from error
    try:
        return Slide(opened, mpp)
    except UserError:
        opened.close()
        raise


def _look_into(source: Path) -> None:
    """Raise PermissionError where the user may not read, which many readers take for damage."""
    if source.is_dir():
        next(source.iterdir(), None)
    elif source.is_file():
        source.open("rb").close()


def _not_allowed(source: Path, error: PermissionError) -> UserError:
    return UserError(f"{source.name} may not be read: {error.strerror or error}.")


def _suffix(path: Path) -> str:
    return path.suffix.lower()
