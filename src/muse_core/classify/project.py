"""Move a slide's annotations and features to a file that the user has chosen ("Save as")."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from muse_core.classify.feature_folder import features_beside
from muse_core.errors import UserError
from muse_core.isolation import CancelledError
from muse_core.nuclei.store import StorePlace
from muse_core.nuclei.store.locate import STORE_SUFFIX
from muse_core.nuclei.store.projects import CANCELLED, copy_store, never, note_project, remove_store

_PART_BYTES = 1 << 24


def project_path(path: str | Path) -> Path:
    """Return the path of a project file, by the name that the user has typed."""
    named = Path(path).absolute()
    return named if named.suffix == STORE_SUFFIX else named.with_name(named.name + STORE_SUFFIX)


def move_project(
    place: StorePlace, store: Path, target: Path, should_cancel: Callable[[], bool] = never
) -> None:
    """Move a store that is not open, and the features beside it, to another file.

    The slide's entry then points to the new file. The old files are deleted last, so that a
    complete store is found whenever the program is killed.

    Args:
        place: Of the slide.
        store: Its store.
        target: New file, see :func:`project_path`.
        should_cancel: Whether to stop; asked every few megabytes.

    Raises:
        UserError: There is a file already, it cannot be written, or it was cancelled; the old store
            stays then.
    """
    if not target.parent.is_dir():
        raise UserError(f"There is no folder {target.parent}.")
    old, new = features_beside(store), features_beside(target)
    if new.exists():
        raise UserError(f"{new.name} exists already; choose another name.")
    made = False
    try:
        copy_store(store, target, should_cancel)
        made = True
        if old.is_dir():
            shutil.copytree(old, new, copy_function=partial(_copy_file, should_cancel))
        note_project(place.own_folder, place.identity, target)
    except (OSError, shutil.Error, UserError) as error:
        if made:
            remove_store(target)
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, UserError):
            raise
        reason = getattr(error, "strerror", None) or "its features cannot be copied"
        raise UserError(f"Could not save to {target}: {reason}.") from error
    remove_store(store)
    shutil.rmtree(old, ignore_errors=True)


def _copy_file(should_cancel: Callable[[], bool], source: str, target: str) -> str:
    with Path(source).open("rb") as old, Path(target).open("xb") as new:
        while part := old.read(_PART_BYTES):
            if should_cancel():
                raise CancelledError(CANCELLED)
            new.write(part)
    return target
