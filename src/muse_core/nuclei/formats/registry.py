"""File formats of nuclei, chosen by the end of the file's name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pandas as pd

from muse_core.errors import UserError, cannot
from muse_core.files import is_special, names_stdout
from muse_core.isolation import Limits, run_isolated
from muse_core.nuclei.counted import counted
from muse_core.nuclei.formats.csv import CSV_SUFFIXES, read_csv_file, write_csv, write_csv_parts
from muse_core.nuclei.formats.facts import facts_of
from muse_core.nuclei.nucleus_file import NucleusFile
from muse_core.nuclei.regions import NamedRegion
from muse_core.nuclei.repeated import each_once
from muse_core.nuclei.scheme import ClassScheme
from muse_core.ordinary import as_path, is_gzip

_Read = Callable[[Path, bool], NucleusFile]
_Write = Callable[[Path, NucleusFile, "npt.NDArray[Any] | None"], None]
_WriteParts = Callable[[Path, Iterable[pd.DataFrame], NucleusFile], None]
_LONG_TEXT_BYTES = 1 << 20
_ZIP, _PACKED_RATIO = ".zip", 20
_SPATIALDATA_START_S = 20.0


@dataclass(frozen=True)
class NucleusFormat:
    """A file format of nuclei.

    Attributes:
        name: As dialogs show it.
        suffixes: Ends of file names, lower case, the usual one first.
        read: (path, whether outlines of annotations are nuclei) to content.
        write: (path, content, features) to a file.
        write_parts: (path, iterable of tables, rest of the content) to a file, with one table at a
            time in memory.
        holds_facts: Whether the file keeps class colours and keys, and regions.
        isolated_from_bytes: Size from which a file is read in a separate process; None is never.
            Damage may crash or hang the C libraries that read binary formats, whatever the size; a
            text can only be too long.
        package: Module, and the extra of napari-muse that brings it, without which it is neither
            read nor written.
    """

    name: str
    suffixes: tuple[str, ...]
    read: _Read
    write: _Write
    write_parts: _WriteParts
    holds_facts: bool = True
    isolated_from_bytes: int | None = 0
    package: tuple[str, str] | None = None


def read_nuclei(
    path: str | Path,
    outlines_are_nuclei: bool = False,
    should_cancel: Callable[[], bool] = lambda: False,
) -> NucleusFile:
    """Read a file of nuclei of any known format, in a separate process where that is safer.

    A nucleus that it repeats counts once.

    Args:
        path: File, or folder of a SpatialData store.
        outlines_are_nuclei: In GeoJSON, take each polygon of an annotation for a nucleus and not
            for a region.
        should_cancel: Asked now and then, where the file is large or binary.

    Returns:
        Table in level-0 pixels; classes, scale and regions where the file has them; and sentences
        for the user about what was left out or assumed.

    Raises:
        CancelledError: should_cancel said so.
        UserError: The name has no known end, the file is missing, damaged or holds no nuclei, takes
            more time or memory than a file of its size can need, or a package is needed that is not
            installed.
    """
    chosen, source = _format_of(path), Path(path)
    size = _size(source)
    if chosen.isolated_from_bytes is None or size < max(1, chosen.isolated_from_bytes):
        return read_nuclei_here(source, outlines_are_nuclei)
    from muse_core.nuclei.formats.transfer import from_bytes

    task = {"path": str(source.absolute()), "outlines_are_nuclei": outlines_are_nuclei}
    worker = "muse_core.nuclei.formats.read_worker"
    limits = Limits.for_size(size, _SPATIALDATA_START_S if source.is_dir() else 0.0)
    data = run_isolated(worker, task, limits, source.name, should_cancel)
    return from_bytes(data)


def read_nuclei_here(path: str | Path, outlines_are_nuclei: bool = False) -> NucleusFile:
    """Like :func:`read_nuclei`, in this process; for files that were written by the caller.

    A damaged file may crash the process.
    """
    return each_once(_format_of(path).read(Path(path), outlines_are_nuclei))


def write_nuclei(
    path: str | Path,
    content: NucleusFile | pd.DataFrame,
    scheme: ClassScheme | None = None,
    mpp: float | None = None,
    regions: Sequence[NamedRegion] = (),
    features: npt.NDArray[Any] | None = None,
) -> tuple[str, ...]:
    """Write nuclei in the format of the file's name; an older file stays until the new is complete.

    Args:
        path: Target.
        content: N nuclei with their metadata, as :func:`read_nuclei` returns them; or a
            NucleusTable, whose metadata are the next three arguments.
        scheme: Classes of a table with colours and keys.
        mpp: Microns per level-0 pixel of a table; CSV needs it.
        regions: Outlines beside the nuclei of a table.
        features: (N, D) in the order of the table; only AnnData holds them.

    Returns:
        Sentences about what the format cannot hold and was left out.

    Raises:
        UserError: The name has no known end, a value does not fit or is said twice, a package is
            needed that is not installed, or the file cannot be written.
    """
    if isinstance(content, pd.DataFrame):
        content = NucleusFile(content, scheme, mpp, tuple(regions))
    elif not isinstance(content, NucleusFile):
        raise UserError(f"Nuclei are a table or what read_nuclei returns, not {content!r:.40}.")
    elif scheme is not None or mpp is not None or len(regions):
        raise UserError("A NucleusFile says its classes, scale and regions itself.")
    chosen = _format_to_write(path)
    left_out = _left_out(chosen, content, features is not None)
    chosen.write(Path(path), content, features)
    return left_out


def write_nuclei_parts(
    path: str | Path, parts: Iterable[pd.DataFrame], content: NucleusFile
) -> tuple[str, ...]:
    """Like :func:`write_nuclei`, for an iterable of tables, such as those of a large slide.

    Each table is written as it comes, so that memory stays small.

    Args:
        path: Target.
        parts: NucleusTables whose ids differ, positions counted from the content's origin.
        content: Classes, scale, regions, origin and unreadable places; its table is ignored.

    Returns:
        See :func:`write_nuclei`.

    Raises:
        UserError: See :func:`write_nuclei`.
    """
    chosen = _format_of(path)
    chosen.write_parts(Path(path), parts, content)
    return _left_out(chosen, content, False)


def _left_out(chosen: NucleusFormat, content: NucleusFile, features: bool) -> tuple[str, ...]:
    """Return notes on what a format cannot hold."""
    left_out = []
    if features and ".h5ad" not in chosen.suffixes:
        left_out.append(f"{chosen.name} holds no features; they were left out.")
    if content.regions and not chosen.holds_facts:
        gone = counted(len(content.regions), "was", "were")
        left_out.append(f"{chosen.name} holds no regions; {gone} left out.")
    if content.scheme is not None and not chosen.holds_facts:
        left_out.append(f"{chosen.name} holds no class colours and keys; they were left out.")
    return tuple(left_out)


def require_writable_format(path: str | Path) -> None:
    """Refuse a format whose package is missing, before the work whose result it is for.

    Raises:
        UserError: It is missing, or the name has no known end.
    """
    chosen = _format_of(path)
    if chosen.package is not None and find_spec(chosen.package[0]) is None:
        module, extra = chosen.package
        raise UserError(
            f"Cannot write {path}: {chosen.name} needs {module}; install napari-muse with its"
            f" extra: napari-muse[{extra}]."
        )


def is_nucleus_file(path: str | Path) -> bool:
    """Whether the name is that of a nucleus file; of folders only SpatialData stores are."""
    try:
        chosen = _format_of(path)
    except UserError:
        return False
    if ".zarr" not in chosen.suffixes:
        return True
    from muse_core.nuclei.formats.spatialdata import is_spatialdata

    return is_spatialdata(path)


def dialog_filter() -> str:
    """The formats as file dialogs want them: ``CSV (*.csv);;Parquet (*.parquet)``, CSV first.

    SpatialData is left out: its stores are folders.
    """
    return ";;".join(
        f"{f.name} ({' '.join(f'*{s}' for s in f.suffixes)})"
        for f in FORMATS
        if ".zarr" not in f.suffixes
    )


def _format_of(path: str | Path) -> NucleusFormat:
    name = as_path(path).name.lower()
    for known in FORMATS:
        if name.endswith(known.suffixes):
            return known
    ends = ", ".join(s for f in FORMATS for s in f.suffixes)
    raise UserError(
        f"{Path(path).name or path} is of no format known for nuclei; the name must end in {ends}."
    )


def _format_to_write(path: str | Path) -> NucleusFormat:
    """As :func:`_format_of`; a device or a pipe, whose name says nothing, gets CSV."""
    target = as_path(path)
    try:
        return _format_of(target)
    except UserError:
        # A name that is too long is that of no device.
        with contextlib.suppress(OSError):
            if is_special(target) or names_stdout(target):
                return FORMATS[0]
        raise


def _size(source: Path) -> int:
    """Bytes to be read, for compressed files the most they may expand to; 0 for a missing file.

    Raises:
        UserError: A folder may not be read.
    """
    try:
        if source.is_dir():
            return sum(p.stat().st_size for p in source.rglob("*") if p.is_file())
        size = source.stat().st_size if source.is_file() else 0
    except OSError as error:
        raise cannot("read", source, error) from error
    return size * (_PACKED_RATIO if source.suffix.lower() == _ZIP or is_gzip(source) else 1)


def _read_csv(path: Path, _: bool) -> NucleusFile:
    return read_csv_file(path)


def _write_csv(path: Path, content: NucleusFile, _: npt.NDArray[Any] | None) -> None:
    if content.mpp is None:
        raise UserError("A CSV file has microns beside pixels; give the microns per pixel.")
    write_csv(content.table, path, content.mpp, content.origin_px, content.slide)


def _write_csv_parts(path: Path, parts: Iterable[pd.DataFrame], content: NucleusFile) -> None:
    if content.mpp is None:
        raise UserError("A CSV file has microns beside pixels; give the microns per pixel.")
    write_csv_parts(parts, path, content.mpp, content.origin_px, content.slide)


def _write_geojson_parts(path: Path, parts: Iterable[pd.DataFrame], content: NucleusFile) -> None:
    from muse_core.nuclei.formats.geojson.write import write_geojson_parts

    write_geojson_parts(parts, path, facts_of(content))


def _write_parquet_parts(path: Path, parts: Iterable[pd.DataFrame], content: NucleusFile) -> None:
    from muse_core.nuclei.formats.parquet import write_parquet_parts

    write_parquet_parts(parts, path, facts_of(content))


def _read_geojson(path: Path, outlines_are_nuclei: bool) -> NucleusFile:
    from muse_core.nuclei.formats.geojson.read import read_geojson

    return read_geojson(path, outlines_are_nuclei)


def _write_geojson(path: Path, content: NucleusFile, _: npt.NDArray[Any] | None) -> None:
    from muse_core.nuclei.formats.geojson.write import write_geojson

    write_geojson(content, path)


def _read_parquet(path: Path, _: bool) -> NucleusFile:
    from muse_core.nuclei.formats.parquet import read_parquet

    return read_parquet(path)


def _write_parquet(path: Path, content: NucleusFile, _: npt.NDArray[Any] | None) -> None:
    from muse_core.nuclei.formats.parquet import write_parquet

    write_parquet(content, path)


def _read_h5ad(path: Path, _: bool) -> NucleusFile:
    from muse_core.nuclei.formats.h5ad import read_h5ad

    return read_h5ad(path)


def _write_h5ad(path: Path, content: NucleusFile, features: npt.NDArray[Any] | None) -> None:
    from muse_core.nuclei.formats.h5ad import write_h5ad

    write_h5ad(content, path, features)


def _write_h5ad_parts(path: Path, parts: Iterable[pd.DataFrame], content: NucleusFile) -> None:
    from muse_core.nuclei.formats.h5ad import write_h5ad_parts

    write_h5ad_parts(parts, path, facts_of(content))


def _read_spatialdata(path: Path, _: bool) -> NucleusFile:
    from muse_core.nuclei.formats.spatialdata import read_spatialdata

    return read_spatialdata(path)


def _write_spatialdata(path: Path, content: NucleusFile, _: npt.NDArray[Any] | None) -> None:
    from muse_core.nuclei.formats.spatialdata import write_spatialdata

    write_spatialdata(content, path)


def _write_spatialdata_parts(
    path: Path, parts: Iterable[pd.DataFrame], content: NucleusFile
) -> None:
    from muse_core.nuclei.formats.spatialdata import write_spatialdata_parts

    write_spatialdata_parts(parts, path, facts_of(content))


FORMATS = (
    NucleusFormat(
        "CSV",
        CSV_SUFFIXES,
        _read_csv,
        _write_csv,
        _write_csv_parts,
        holds_facts=False,
        isolated_from_bytes=None,
    ),
    NucleusFormat(
        "GeoJSON for QuPath",
        (".geojson", ".json", ".geojson.gz", ".json.gz", ".zip"),
        _read_geojson,
        _write_geojson,
        _write_geojson_parts,
        isolated_from_bytes=_LONG_TEXT_BYTES,
    ),
    NucleusFormat(
        "Parquet",
        (".parquet", ".geoparquet"),
        _read_parquet,
        _write_parquet,
        _write_parquet_parts,
    ),
    NucleusFormat(
        "AnnData",
        (".h5ad",),
        _read_h5ad,
        _write_h5ad,
        _write_h5ad_parts,
        package=("h5py", "anndata"),
    ),
    NucleusFormat(
        "SpatialData",
        (".zarr",),
        _read_spatialdata,
        _write_spatialdata,
        _write_spatialdata_parts,
        package=("spatialdata", "spatialdata"),
    ),
)
"""Every format, CSV first."""
NUCLEUS_SUFFIXES = tuple(s for f in FORMATS for s in f.suffixes)
WRITABLE_SUFFIXES = NUCLEUS_SUFFIXES
