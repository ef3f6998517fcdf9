"""KeptRun: keeps the results of a run on the disk, so that it can be resumed after a crash.

The name of its folder has a digest of all that the result depends on: model, slide, region,
settings, version. A run with any of these different has another folder and shares no reports.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from muse_core.detect.differences import differences, facts_of_key
from muse_core.detect.spool import FileSpool, MemorySpool, Spool
from muse_core.detect.tile_log import TileLog
from muse_core.errors import UserError, cannot
from muse_core.files import canonical_json, digest_of, make_folder, only_one

_DIGITS = 16
_FORMAT = 1
_FACTS = "run.json"
_LOG = "tiles.log"
_SPOOL = "nuclei"


@dataclass(frozen=True)
class RunPlace:
    """Folder in which a run is kept, and the key that identifies it.

    Attributes:
        stem: Path of the folder, to which the digest is added.
        key: All that the result depends on, JSON-able.
        about: Further notes to write into the folder, JSON-able.
        target: File that error messages name, for example when the disk is full.
        resume: Whether to continue an unfinished run of the same key.
    """

    stem: Path
    key: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)
    target: Path | None = None
    resume: bool = True


@dataclass
class RunState:
    """Files that a detection writes while it runs.

    Attributes:
        spool: Takes settled nuclei.
        log: Takes reports of tiles, where the run is kept.
        resumed: Tiles whose reports were there at the start.
        finished: Whether all is done, so that what is kept of this output can be removed.
        spoilt: Whether the slide was changed under the run, so that it cannot be resumed.
        note: Why an unfinished run of the same output is not continued, or "".
    """

    spool: Spool = field(default_factory=MemorySpool)
    log: TileLog | None = None
    resumed: int = 0
    finished: bool = False
    spoilt: bool = False
    note: str = ""


class KeptRun:
    """A run kept in a folder; used by one program at a time."""

    def __init__(self, place: RunPlace) -> None:
        self._place = place
        self._lock, self._stack = contextlib.ExitStack(), contextlib.ExitStack()
        self.folder: Path | None = None
        self.state = RunState()

    def begin(self, facts: Mapping[str, Any]) -> RunState:
        """Open what an earlier, unfinished run has left, or begin a new one.

        Args:
            facts: The rest of the key, known only once the model is loaded.

        Raises:
            UserError: Another program is using the folder, or it cannot be written.
        """
        # Through JSON, to compare equal to the key that is read from the file.
        key = json.loads(canonical_json({"format": _FORMAT, **self._place.key, **facts}))
        digest = digest_of(key)[:_DIGITS]
        stem = self._place.stem
        folder = stem.with_name(f"{stem.name}-{digest}")
        make_folder(folder.parent)
        # From here on the folder is this program's, to write and to remove; its lock lies beside
        # it, so that it is held until the folder has gone.
        self._lock.enter_context(only_one(folder, self._place.target))
        self.folder = folder
        make_folder(folder)
        if not self._place.resume or _noted(self.folder) != key:
            for name in (_LOG, _SPOOL, _FACTS):
                (self.folder / name).unlink(missing_ok=True)
            about = {"key": key, "about": dict(self._place.about)}
            _write(self.folder / _FACTS, orjson.dumps(about))
        log = self._stack.enter_context(TileLog(self.folder / _LOG))
        note = "" if len(log) else self._why_anew(key)
        self.state = RunState(FileSpool(self.folder / _SPOOL), log, len(log), note=note)
        return self.state

    def _why_anew(self, key: Mapping[str, Any]) -> str:
        """How an unfinished run of the same output differs from this one, a sentence, or ""."""
        others = [run for run in unfinished_runs(self._place.stem) if run != self.folder]
        others.sort(key=lambda run: run.stat().st_mtime)
        for other in reversed(others):
            noted = _noted(other)
            if isinstance(noted, dict):
                what = differences(facts_of_key(noted), facts_of_key(key))
                return f"There is an unfinished run with another {what}; this one begins anew."
        return ""

    @property
    def holds_tiles(self) -> bool:
        """Whether any tile has reported, so that the run can be resumed."""
        return self.state.log is not None and len(self.state.log) > 0

    @property
    def resumable(self) -> bool:
        """Whether the run is not finished and another one can go on with what it has."""
        return self.holds_tiles and not self.state.finished and not self.state.spoilt

    def close(self) -> None:
        """Close the files; remove the folder unless the run can be resumed."""
        with self._lock:
            kept = self.resumable
            self._stack.close()
            if not kept and self.folder is not None:
                shutil.rmtree(self.folder, ignore_errors=True)
        if self.state.finished:
            for other in unfinished_runs(self._place.stem):
                with contextlib.suppress(UserError), only_one(other):
                    shutil.rmtree(other, ignore_errors=True)


@contextlib.contextmanager
def kept_run(place: RunPlace) -> Iterator[KeptRun]:
    """Open a run for a detector; its folder stays until the run is marked as finished or spoilt.

    Raises:
        UserError: The disk is full, or the folder cannot be written.
    """
    run = KeptRun(place)
    try:
        try:
            yield run
        finally:
            run.close()
    except OSError as error:
        if run.folder is None or not str(error.filename or "").startswith(str(run.folder)):
            raise
        raise cannot("write", place.target or run.folder, error) from error


def unfinished_runs(stem: Path) -> list[Path]:
    """The folders of runs that are kept under a stem."""
    found = stem.parent.glob(f"{_escaped(stem.name)}-{'[0-9a-f]' * _DIGITS}")
    return sorted(path for path in found if path.is_dir())


def about_run(folder: Path) -> Mapping[str, Any] | None:
    """Return the notes in the folder of a run, or None where it is none."""
    try:
        about = json.loads((folder / _FACTS).read_bytes())["about"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return about if isinstance(about, dict) else None


def _noted(folder: Path) -> object:
    """The key of the run that a folder holds."""
    try:
        return json.loads((folder / _FACTS).read_bytes())["key"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        number = error.errno or 0
        raise OSError(number, os.strerror(number), str(path)) from error


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
