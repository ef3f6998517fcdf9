"""The user's own folders on this machine: the one place that knows them."""

from __future__ import annotations

from pathlib import Path

import platformdirs

_NAME = "napari-muse"


def user_data_folder() -> Path:
    """Where models and annotations of the user lie; need not exist."""
    return Path(platformdirs.user_data_dir(_NAME, appauthor=False))


def older_data_folder() -> Path:
    """Where annotations lay at first; on Windows another folder, elsewhere the same."""
    return Path(platformdirs.user_data_dir(_NAME))


def user_cache_folder() -> Path:
    """Where what can be fetched again lies; need not exist."""
    return Path(platformdirs.user_cache_dir(_NAME, appauthor=False))
