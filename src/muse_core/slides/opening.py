"""Open a slide: choose the reader for a path, or say why the file cannot be opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from muse_core.errors import UserError, cannot
from muse_core.files.remote import address_of_path, is_address, without_secrets
from muse_core.ordinary import as_path, require_file, with_name
from muse_core.slides.choice import ImageChoice, require_choice
from muse_core.slides.content import Content, content_of, is_database
from muse_core.slides.dicom_series import SUFFIX, main_file
from muse_core.slides.image import open_image, open_jpegxl
from muse_core.slides.ome_zarr.images import is_zarr_folder
from muse_core.slides.ome_zarr.zip_store import why_no_zarr, zarr_root
from muse_core.slides.openslide_reader import (
    MIRAX,
    MIRAX_INDEX,
    open_openslide,
    openslide_knows,
)
from muse_core.slides.slide import Slide, SlideSource
from muse_core.slides.tiff.overlapping_tiles import OverlappingTilesError
from muse_core.slides.tiff.reader import open_tiff


def _open_ome_zarr(path: Path, choice: ImageChoice) -> SlideSource:
    # zarr takes a third of a second to load, which few slides need.
    from muse_core.slides.ome_zarr.reader import open_ome_zarr

    return open_ome_zarr(path, choice)


def _open_tiff(path: Path, choice: ImageChoice) -> SlideSource:
    try:
        return open_tiff(path, choice)
    except OverlappingTilesError:
        return open_openslide(path, choice)


def _open_window_image(path: Path, choice: ImageChoice) -> SlideSource:
    from muse_core.slides.window.reader import open_window_image

    return open_window_image(path, choice)


_Reader = Callable[[Path, ImageChoice], SlideSource]
_BY_CONTENT: dict[Content, _Reader] = {
    Content.TIFF: _open_tiff,
    Content.IMAGE: open_image,
    Content.JPEGXL: open_jpegxl,
    Content.WINDOW: _open_window_image,
}
_AS_IT_IS = ImageChoice()
_OPENSLIDE = (".mrxs", ".vms", ".vmu", ".bif", ".svslide", ".dcm")
"""Their content is that of a JPEG, a TIFF or a text, which is not all that belongs to the slide."""
_OLYMPUS = ".vsi"
"""A TIFF with the overview and the label alone; the slide is in other files."""
_READERS: dict[str, _Reader] = {
    **dict.fromkeys((".svs", ".tif", ".tiff", ".btf", ".tf2", ".tf8"), _open_tiff),
    **dict.fromkeys((".ndpi", ".scn", ".qptiff"), _open_tiff),
    ".zarr": _open_ome_zarr,
    ".ozx": _open_ome_zarr,
    **dict.fromkeys(_OPENSLIDE, open_openslide),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"), open_image),
    **dict.fromkeys((".jp2", ".j2k", ".avif"), open_image),
    ".jxl": open_jpegxl,
}
SLIDE_SUFFIXES: tuple[str, ...] = tuple(_READERS)
"""Lower-case file name endings that are known to belong to slides."""


def can_open(path: str | Path) -> bool:
    """Whether something looks like a slide: a file by its name, a folder by what is in it."""
    source = Path(path)
    if _suffix(source) in _READERS:
        return True
    try:
        if _suffix(source) == ".zip":
            return source.is_file() and zarr_root(source) is not None
        return is_zarr_folder(source)
    except OSError:
        return False


def open_slide(
    path: str | Path,
    mpp: float | None = None,
    choice: ImageChoice = _AS_IT_IS,
    force_mpp: bool = False,
) -> Slide:
    """Open a slide for reading.

    The format is recognised by content where possible, whatever the suffix of the name.

    Args:
        path: A file, the folder of an OME-Zarr, or the address of either: https://..., s3://...
        mpp: Microns per level-0 pixel, where the file does not say.
        choice: Which image, plane and channels of a file that holds several.
        force_mpp: Whether mpp replaces a scale that the file states.

    Raises:
        UserError: The file is missing, empty, damaged or no supported image, or mpp is impossible.
    """
    require_choice(choice)
    if is_address(path):
        from muse_core.slides.remote_slides import open_remote

        return _scaled(open_remote(str(path), choice), mpp, force_mpp)
    if hasattr(path, "shape"):
        raise UserError("An array is no path; give it to slide_from_arrays, or to detect itself.")
    source = with_name(as_path(path))
    source = main_file(source) if _suffix(source) == SUFFIX else source
    address = address_of_path(source)
    if address is not None and not source.exists():
        raise UserError(
            f"{without_secrets(address)} is an address, and only files can be given here;"
            " fetch it first."
        )
    try:
        if not source.is_dir():
            require_file(source)
        if source.is_file() and source.stat().st_size == 0:
            raise UserError(f"{source.name} is empty (0 bytes).")
        _look_into(source)
    except PermissionError as error:
        raise _not_allowed(source, error) from error
    except OSError as error:
        raise cannot("open", source, error) from error
    reader = _reader_of(source)
    no_zarr = reader is _open_ome_zarr and source.is_file() and zarr_root(source) is None
    if reader is None or no_zarr:
        raise UserError(_why_no_slide(source, reader is not None))
    try:
        opened = reader(source, choice)
    except PermissionError as error:
        raise _not_allowed(source, error) from error
    return _scaled(opened, mpp, force_mpp)


def _why_no_slide(source: Path, named_zarr: bool) -> str:
    if (source / MIRAX_INDEX).is_file():
        return f"{source.name} is the folder of a slide; open {source.name}{MIRAX} beside it."
    if source.is_dir():
        return f"{source.name or source} is a folder without an OME-Zarr in it, not a slide file."
    reason = why_no_zarr(source)
    if reason:
        return f"{source.name} {reason}."
    if _suffix(source) == _OLYMPUS:
        return f"{source.name} is a slide of Olympus, which cannot be read; save it as OME-TIFF."
    if is_database(source):
        return f"{source.name} is a database, as annotations are, and no slide."
    if named_zarr:
        return f"{source.name} is a file, not a folder or zip archive as OME-Zarr is."
    return (
        f"{source.name} has no known slide format; known endings are {', '.join(SLIDE_SUFFIXES)}."
    )


def _scaled(opened: SlideSource, mpp: float | None, force_mpp: bool) -> Slide:
    try:
        return Slide(opened, mpp, force_mpp)
    except UserError:
        opened.close()
        raise


def _reader_of(source: Path) -> _Reader | None:
    """The reader for an existing file or folder; None where neither content nor name tells it."""
    suffix = _suffix(source)
    if suffix == _OLYMPUS:
        return None
    if source.is_dir():
        return _open_ome_zarr if suffix == ".zarr" or is_zarr_folder(source) else None
    if suffix in _OPENSLIDE:
        return open_openslide
    content = content_of(source)
    if content is not None:
        return _BY_CONTENT[content]
    if zarr_root(source) is not None:
        return _open_ome_zarr
    known = _READERS.get(suffix)
    # OpenSlide looks into databases for slides, and SQLite leaves files beside them.
    asked = known is None and not is_database(source)
    return open_openslide if asked and openslide_knows(source) else known


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
