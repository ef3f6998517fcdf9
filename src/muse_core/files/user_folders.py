"""The user's own folders on this machine: the one place that knows them."""

from __future__ import annotations

from pathlib import Path

import platformdirs

_NAME = "napari-muse"


def user_data_folder() -> Path:
    """Return the folder of the user's models and annotations; it need not exist."""
    return Path(platformdirs.user_data_dir(_NAME, appauthor=False))


def older_data_folder() -> Path:
    """Return the folder that annotations were in at first; another one on Windows only."""
    return Path(platformdirs.user_data_dir(_NAME))


def user_cache_folder() -> Path:
    """Return the user's cache folder, for what can be fetched again; it need not exist."""
    return Path(platformdirs.user_cache_dir(_NAME, appauthor=False))
