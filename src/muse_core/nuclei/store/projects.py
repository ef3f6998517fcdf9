"""Notes that say which file the annotations of a slide were saved as ("Save as")."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from muse_core.errors import UserError
from muse_core.files import make_folder, replacing
from muse_core.isolation import CancelledError
from muse_core.nuclei.store.identity import SlideIdentity
from muse_core.nuclei.store.store import AnnotationStore

PROJECT_SUFFIX = ".project"
"""Suffix of the note, which lies in the folder where the annotations would be."""
BESIDE_STORE = ("", "-wal", "-shm", ".lock")
"""What the names of a store's files end with, after the store's own."""
_MOST_BYTES = 1 << 16
_PAGES_AT_ONCE = 4096
CANCELLED = "Cancelled; nothing was moved."


def never() -> bool:
    """Return False: nobody cancels."""
    return False


def project_note(folder: Path, identity: SlideIdentity) -> Path:
    """Path of the note for a slide; it need not exist."""
    named = f"{identity.size_bytes}:{identity.fingerprint}"
    return folder / f"{hashlib.sha256(named.encode()).hexdigest()[:32]}{PROJECT_SUFFIX}"


def saved_project(folder: Path, identity: SlideIdentity) -> Path | None:
    """The store that a slide's annotations were saved as, or None where they never were.

    Raises:
        UserError: It is not where it was, or the note cannot be read.
    """
    note = project_note(folder, identity)
    path = _noted(note)
    if path is not None and not path.is_file():
        raise UserError(
            f"The nuclei of this image were saved as {path}, which is not there. Bring it back, or"
            f" open it where it is now; or remove {note} to begin anew."
        )
    return path


def note_if_moved(folder: Path, identity: SlideIdentity, store: Path) -> None:
    """Note where a slide's annotations are, if they were saved as a file that is not there.

    Raises:
        UserError: The note cannot be read or written.
    """
    path = _noted(project_note(folder, identity))
    if path is not None and not path.is_file():
        note_project(folder, identity, store)


def _noted(note: Path) -> Path | None:
    """Return the path in a note, or None where there is no note."""
    if not note.is_file():
        return None
    try:
        with note.open("rb") as file:
            return Path(json.loads(file.read(_MOST_BYTES))["store"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"{note} cannot be read; it says where nuclei were saved.") from error


def note_project(folder: Path, identity: SlideIdentity, store: Path) -> None:
    """Note where a slide's annotations are from now on; raises UserError where it cannot."""
    make_folder(folder)
    with replacing(project_note(folder, identity)) as partial:
        partial.write_text(json.dumps({"store": str(store.absolute())}), encoding="utf-8")


def copy_store(store: Path, target: Path, should_cancel: Callable[[], bool] = never) -> None:
    """Copy a store that nobody has open.

    Raises:
        UserError: There is such a file, or it cannot be written.
        CancelledError: It was cancelled.
    """

    def go_on(*_: int) -> None:
        if should_cancel():
            raise CancelledError(CANCELLED)

    if target.exists():
        raise UserError(f"{target.name} exists already; choose another name.")
    with replacing(target) as partial:
        address = f"file:{quote(str(store))}"
        try:
            with (
                closing(sqlite3.connect(address, uri=True)) as old,
                closing(sqlite3.connect(partial)) as new,
            ):
                old.backup(new, pages=_PAGES_AT_ONCE, progress=go_on)
        except sqlite3.Error as error:
            raise UserError(f"Could not save to {target}: {error}.") from error
    AnnotationStore.open(target, read_only=True).close()


def remove_store(store: Path) -> None:
    """Remove a store and what belongs to it, as far as that is allowed."""
    for ending in BESIDE_STORE:
        with contextlib.suppress(OSError):
            store.with_name(store.name + ending).unlink(missing_ok=True)
