"""List the slides of a command: files, folders, patterns, CSV files, addresses."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from muse_core.errors import UserError, cannot
from muse_core.files import is_litter
from muse_core.files.remote import is_address, without_secrets
from muse_core.jobs.results_folder import owner_of
from muse_core.slides.dicom_series import SUFFIX, main_file

_LONGEST_VMS = 1 << 20
_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class ListedSlide:
    """A slide to look at.

    Attributes:
        path: File, folder or address.
        mpp: Microns per level-0 pixel, where a list says it.
    """

    path: str
    mpp: float | None = None


def names_many(given: Sequence[str]) -> bool:
    """Whether arguments of a command may name several slides, or none."""
    return len(given) != 1 or _names_many(given[0])


def listed_slides(given: Sequence[str]) -> list[ListedSlide]:
    """Return all slides that arguments of a command name, each once, in the order given.

    Args:
        given: Files, addresses, folders (all slides in them and below), patterns as a shell has
            them, with ``**`` for folders of any depth, and CSV files with a column ``slide`` and,
            where slides do not say it, ``mpp``.

    Raises:
        UserError: There is no such file, a list cannot be read, a slide is listed with two scales,
            or no slide is named at all.
    """
    found: dict[str, ListedSlide] = {}
    for argument in given:
        for slide in map(_whole, _expanded(argument)):
            key = owner_of(slide.path, None)
            found[key] = _joined(found.get(key, slide), slide)
    if not found:
        raise UserError(f"There is no slide in {', '.join(given)}.")
    return list(found.values())


def _whole(slide: ListedSlide) -> ListedSlide:
    """The slide by the main one of its files, of which each may be named; of DICOM all are."""
    path = Path(slide.path)
    if path.suffix.lower() != SUFFIX or is_address(slide.path):
        return slide
    return replace(slide, path=str(main_file(path)))


def _joined(slide: ListedSlide, again: ListedSlide) -> ListedSlide:
    """A slide that is named twice, with the scale of either; raises UserError where they differ."""
    if again.mpp is None or again.mpp == slide.mpp:
        return slide
    if slide.mpp is None:
        return replace(slide, mpp=again.mpp)
    where = without_secrets(slide.path)
    raise UserError(f"{where} is listed with two scales, {slide.mpp:g} and {again.mpp:g} um/px.")


def _names_many(argument: str) -> bool:
    from muse_core.slides.opening import can_open

    path = Path(argument)
    if is_address(argument):
        return False
    if path.is_dir():
        return not can_open(path)
    return _is_list(path) or (not path.exists() and _PATTERN.search(argument) is not None)


def _expanded(argument: str) -> Iterator[ListedSlide]:
    path = Path(argument)
    if is_address(argument):
        yield ListedSlide(argument)
    elif not path.exists() and _PATTERN.search(argument):
        matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        kept = [m for m in matches if not (m.name.startswith(".") or is_litter(m.name))]
        if not kept:
            raise UserError(f"Nothing matches {argument}.")
        for match in kept:
            yield from _expanded(str(match))
    elif _is_list(path):
        yield from _of_list(path)
    elif path.is_dir() and _names_many(argument):
        yield from map(ListedSlide, _of_folder(path, set()))
    else:
        # That it may be missing is for the run to say, like all that is wrong with a slide.
        yield ListedSlide(argument)


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv") and path.is_file()


def _of_folder(folder: Path, seen: set[str]) -> Iterator[str]:
    """Slides in a folder and below, sorted; folders that are slides are not looked into.

    Args:
        folder: The folder.
        seen: Real paths of the folders that were looked into, since links may lead in a circle.
    """
    from muse_core.slides.opening import can_open

    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise cannot("read", folder, error) from error
    parts = _parts_of_slides(entries)
    for entry in entries:
        if is_litter(entry.name) or entry.name.startswith(".") or entry.name in parts:
            continue
        if can_open(entry):
            yield str(entry)
        elif entry.is_dir():
            yield from _of_folder(entry, seen)


def _parts_of_slides(entries: Sequence[Path]) -> set[str]:
    """Names of the pictures that slides of Hamamatsu consist of."""
    named = set()
    for entry in entries:
        if entry.suffix.lower() in (".vms", ".vmu") and entry.is_file():
            try:
                with entry.open(encoding="latin-1") as text:
                    lines = text.read(_LONGEST_VMS).splitlines()
            except OSError as error:
                raise cannot("read", entry, error) from error
            named |= {line.partition("=")[2].strip() for line in lines}
    return named


def _of_list(path: Path) -> Iterator[ListedSlide]:
    from muse_core.tables import Column, read_csv_table

    columns = {
        "slide": Column(("slide", "path", "file", "filename")),
        "mpp": Column(("mpp", "mpp_um", "um_per_px"), number=True, needed=False),
    }
    table = read_csv_table(path, columns)
    scales = table.numbers("mpp", empty=math.nan) if "mpp" in table else None
    for row, cell in enumerate(table.texts("slide")):
        name = str(cell).strip()
        if not name:
            continue
        mpp = float(scales[row]) if scales is not None and not math.isnan(scales[row]) else None
        yield ListedSlide(_beside(name, path.parent), mpp)


def _beside(name: str, folder: Path) -> str:
    """A path in a list; relative ones are looked up beside the list, then in the current folder.

    A "~" before it is the home folder, as on the command line, unless something is called so.
    """
    if is_address(name) or Path(name).is_absolute():
        return name
    beside = folder / name
    if beside.exists():
        return str(beside)
    if Path(name).exists():
        return name
    # Unlike that of Path, it leaves a name as it is where there is no such user.
    at_home = os.path.expanduser(name)  # noqa: PTH111
    return str(beside) if at_home == name else at_home
