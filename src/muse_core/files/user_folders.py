"""The user's own folders on this machine: the one place that knows them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import platformdirs

from muse_core.errors import UserError

_NAME = "napari-muse"


def user_data_folder() -> Path:
    """Return the folder of the user's models and annotations; it need not exist.

    Raises:
        UserError: The user has no home folder, as a number without a name in a container.
    """
    return _folder(lambda: platformdirs.user_data_dir(_NAME, appauthor=False))


def older_data_folder() -> Path:
    """Return the folder that annotations were in at first; another one on Windows only."""
    return _folder(lambda: platformdirs.user_data_dir(_NAME))


def user_cache_folder() -> Path:
    """Return the user's cache folder, for what can be fetched again; it need not exist.

    Raises:
        UserError: The user has no home folder.
    """
    return _folder(lambda: platformdirs.user_cache_dir(_NAME, appauthor=False))


def _folder(find: Callable[[], str]) -> Path:
    with suppress(RuntimeError):
        folder = Path(find())
        # What older releases of platformdirs return.
        if folder.parts[0] != "~":
            return folder
    raise UserError(
        "The home folder of this user is not known, so there is no place for models and caches;"
        " set the environment variable HOME to a folder."
    )
