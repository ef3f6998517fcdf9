"""ResultsFolder: a folder with a file of nuclei and a record for each of many slides."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from muse_core.detect.differences import differences
from muse_core.errors import UserError
from muse_core.files import locked, make_folder, replacing, sha256_of, shortened
from muse_core.files.remote import is_address, name_of, without_secrets
from muse_core.tables import quoting_of

_RECORDS = ".muse"
SUMMARY = "summary.csv"
_SUMMARY_BEGIN = b"slide,result,nuclei"
_DIGITS = 8
_CHARACTERS = 120
_BEGUN = "It has not come to its end."


@dataclass(frozen=True)
class SlideRecord:
    """Record of a slide's detection: its result file, or why it failed.

    Attributes:
        slide: As given; an address without what grants access.
        result: Name of its file in the folder.
        key: Digest of all that the result depends on.
        sha256: Of the file.
        figures: Of the job: nuclei, counts, tissue_mm2, seconds.
        error: Why there is no result, or "".
        image: Number of one of several images of the slide.
        facts: Digests of the parts of the key, by name.
        location: Of the slide, whatever the current folder: an absolute path or an address.
        content: Fingerprint of the slide's content, "" until it has been opened.
    """

    slide: str
    result: str
    key: str = ""
    sha256: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    image: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    location: str = ""
    content: str = ""

    @property
    def owner(self) -> str:
        """Equal for results of the same slide and image."""
        return owner_of(self._place, self.image)

    @property
    def is_reachable(self) -> bool:
        """Whether the slide is where it was, as far as that can be told."""
        return is_address(self._place) or Path(self._place).exists()

    @property
    def _place(self) -> str:
        return self.location or self.slide

    def of_slide_now_at(self, other: SlideRecord) -> SlideRecord:
        """This record with the slide's place in another one."""
        return replace(self, slide=other.slide, location=other.location, content=other.content)


class ResultsFolder:
    """A folder of result files, with hidden records of the files that this program wrote."""

    def __init__(self, folder: Path, suffix: str) -> None:
        """Look whether results may go into a folder; it is made with the first name.

        So nothing is left behind by a command that is refused.

        Args:
            folder: Where results go; need not exist.
            suffix: End of their names, with the dot.

        Raises:
            UserError: It is a file, or has a summary in it that is of something else.
        """
        if folder.exists() and not folder.is_dir():
            raise UserError(f"Cannot write into {folder}: it is a file; give a folder.")
        _refuse_foreign(folder / SUMMARY)
        self.folder, self._suffix = folder, suffix
        self._taken: dict[str, str] = {}

    def name_for(self, slide: str, image: int | None = None) -> str:
        """The name of a slide's file: that of the slide, with a number if another slide has it.

        A slide gets the same name every time, also if its folder was moved, and never that of a
        file without a record. Names are reserved, so that other processes that write to the folder
        do not take them.

        Args:
            slide: File or address.
            image: Number of one of several images of it.

        Raises:
            UserError: The folder cannot be made, or both names are those of other results.
        """
        make_folder(self.folder / _RECORDS)
        owner = owner_of(slide, image)
        bare = shortened(stem_of_slide(slide)[:_CHARACTERS])
        mark = hashlib.sha256(owner.encode()).hexdigest()[:_DIGITS]
        end = _end(image)
        with self._locked():
            for stem in (f"{bare}{end}", f"{bare}-{mark}{end}"):
                name = f"{stem}{self._suffix}"
                found = self._owner(name)
                # File systems that do not tell case apart would have one file for both.
                if found in (owner, None) or self._was_moved(name, slide, image):
                    self._taken[name.lower()] = owner
                    if found is None:
                        self.keep(replace(record_of(slide, name, image), error=_BEGUN))
                    return name
        raise UserError(f"{self.folder / name} is the result of another slide.")

    def _was_moved(self, name: str, slide: str, image: int | None) -> bool:
        """Whether the slide of a name has gone from its place and is this one by its content."""
        from muse_core.nuclei.store.identity import identify_slide

        record = None if name.lower() in self._taken else self.record(name)
        if record is None or not record.content or record.image != image or record.is_reachable:
            return False
        try:
            return identify_slide(slide).fingerprint == record.content
        except UserError:
            return False

    def _owner(self, name: str) -> str | None:
        if name.lower() in self._taken:
            return self._taken[name.lower()]
        record = self.record(name)
        if record is None:
            # A file of somebody else's, which must not be overwritten.
            return "" if (self.folder / name).exists() else None
        return record.owner

    def record(self, name: str) -> SlideRecord | None:
        """Return the record of a result by its name, or None."""
        try:
            return SlideRecord(**json.loads(self._record_file(name).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def finished(self, name: str, key: str) -> SlideRecord | None:
        """The record of a complete result with the same key, or None."""
        record = self.record(name)
        return record if record and record.key == key and self._is_whole(record) else None

    def _is_whole(self, record: SlideRecord) -> bool:
        """Whether the result of a record is there as it was written."""
        try:
            found = not record.error and content_digest(self.folder / record.result)
        except (OSError, UserError):
            return False
        return found == record.sha256

    def why_anew(self, record: SlideRecord) -> str:
        """A sentence on why an existing result is computed again, or ""."""
        before = self.record(record.result)
        if before is None or before.error or not before.facts or before.key == record.key:
            return ""
        what = differences(before.facts, record.facts)
        return f"The result that was there had another {what}; it was made anew."

    def keep(self, record: SlideRecord) -> None:
        """Write the record of a slide; that of a whole result is kept if a later run has failed.

        The slide was out of reach for a while, or another program was writing the same result.
        """
        before = self.record(record.result) if record.error else None
        if before and self._is_whole(before):
            return
        with replacing(self._record_file(record.result)) as partial:
            partial.write_text(json.dumps(asdict(record)), encoding="utf-8")

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.folder / _RECORDS / "records")

    def _record_file(self, name: str) -> Path:
        return self.folder / _RECORDS / f"{name}.json"

    def write_summary(self, records: Iterable[SlideRecord], class_names: Sequence[str]) -> Path:
        """Write a row for each slide, and for those of other runs into the folder.

        Args:
            records: Of this run.
            class_names: Of its model.

        Returns:
            The file.

        Raises:
            UserError: It cannot be written.
        """
        with self._locked():
            own = [self._or_of_another_program(record) for record in records]
            others = self._others({record.result for record in own})
            known = [str(name) for r in others for name in r.figures.get("counts", {})]
            return self._write([*own, *others], list(dict.fromkeys([*class_names, *known])))

    def _or_of_another_program(self, record: SlideRecord) -> SlideRecord:
        """A record, or where it failed the finished one that another program has written since."""
        return (record.error and record.key and self.finished(record.result, record.key)) or record

    def _others(self, own: Collection[str]) -> list[SlideRecord]:
        """Records of other runs whose result, or failed slide, is still there."""
        files = sorted((self.folder / _RECORDS).glob("*.json"))
        found = (self.record(file.stem) for file in files if file.stem not in own)
        return [r for r in found if r is not None and self._is_there(r)]

    def _is_there(self, record: SlideRecord) -> bool:
        if not record.error:
            return (self.folder / record.result).exists()
        return record.is_reachable

    def _write(self, records: Sequence[SlideRecord], class_names: Sequence[str]) -> Path:
        text = io.StringIO()
        said = (part for r in records for part in (r.slide, r.result, r.error))
        quoting = quoting_of([*class_names, *said])
        writer = csv.writer(text, lineterminator=os.linesep, quoting=quoting)
        counted = [f"nuclei {name}" for name in class_names]
        head = ["slide", "result", "nuclei", *counted, "tissue_mm2", "seconds", "mpp", "device"]
        writer.writerow([*head, "unreadable_places", "error"])
        for r in records:
            counts = r.figures.get("counts", {})
            row = [r.slide, r.result, r.figures.get("nuclei", "")]
            row += [counts.get(name, "") for name in class_names]
            row += [r.figures.get(k, "") for k in ("tissue_mm2", "seconds", "mpp", "device")]
            unreadable = r.figures.get("unreadable_px")
            writer.writerow([*row, "" if unreadable is None else len(unreadable), r.error])
        target = self.folder / SUMMARY
        with replacing(target) as partial:
            partial.write_text(text.getvalue(), encoding="utf-8", newline="")
        return target


def _refuse_foreign(summary: Path) -> None:
    """Raise a UserError if a file with the summary's name was not written by this program."""
    # In a folder of ours a person may have saved it again, with other separators.
    if not summary.exists() or (summary.parent / _RECORDS).is_dir():
        return
    if summary.is_file():
        with summary.open("rb") as file:
            if file.read(len(_SUMMARY_BEGIN)) == _SUMMARY_BEGIN:
                return
    raise UserError(f"{summary} is not of an earlier run; choose another folder for --out.")


def record_of(slide: str, result: str, image: int | None) -> SlideRecord:
    """A record of a slide that has not been opened."""
    return SlideRecord(without_secrets(slide), result, image=image, location=_location_of(slide))


def owner_of(slide: str, image: int | None) -> str:
    """Return the location of a slide with the number of its image."""
    return f"{_location_of(slide)}{_end(image)}"


def _location_of(slide: str) -> str:
    return without_secrets(slide) if is_address(slide) else os.path.realpath(slide)


def name_of_slide(slide: str) -> str:
    """The file name in a path or address."""
    return name_of(slide) if is_address(slide) else Path(slide).name


def stem_of_slide(slide: str) -> str:
    """The name of a slide without its folder and endings, after which results are named."""
    stem = Path(name_of_slide(slide)).stem or "slide"
    return Path(stem).stem if stem.lower().endswith((".ome", ".zarr")) else stem


def _end(image: int | None) -> str:
    return "" if image is None else f"-image{image}"


def content_digest(path: Path) -> str:
    """Hash of the content of a file, or of the names and contents of a folder's files."""
    if not path.is_dir():
        return sha256_of(path)
    whole = hashlib.sha256()
    for file in sorted((p for p in path.rglob("*") if p.is_file()), key=lambda p: p.parts):
        whole.update(f"{file.relative_to(path).as_posix()}:{sha256_of(file)}\n".encode())
    return whole.hexdigest()
