from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from platformdirs.windows import Windows

from muse_core.errors import UserError
from muse_core.files.user_folders import older_data_folder, user_cache_folder, user_data_folder
from muse_core.models.registry import user_model_folder
from muse_core.nuclei.store import StorePlace


def test_on_windows_too_all_lie_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apply platformdirs' rules for Windows in place of the system's."""

    def windows(kind: str) -> Any:
        return lambda name, appauthor=None: getattr(Windows(name, appauthor), kind)

    monkeypatch.setattr(Windows, "user_data_dir", property(lambda self: self._append_parts("L:")))
    monkeypatch.setattr(platformdirs, "user_data_dir", windows("user_data_dir"))
    assert Path(user_data_folder()).parts[-2:] == ("L:", "napari-muse")
    assert user_model_folder().parent == user_data_folder()
    folders = StorePlace(tmp_path / "a.svs")._folders()
    assert folders[-1].parent == user_data_folder()
    assert Path(older_data_folder()).parts[-3:] == ("L:", "napari-muse", "napari-muse")


def test_the_cache_is_the_users() -> None:
    # Windows: ...\AppData\Local\napari-muse\Cache.
    assert "napari-muse" in user_cache_folder().parts[-2:]


@pytest.mark.skipif(os.name == "nt", reason="there the system knows them")
def test_a_user_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(number: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    # As in a container that is run with a number in place of a user.
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for folder in (user_data_folder, older_data_folder, user_cache_folder):
        with pytest.raises(UserError, match="HOME"):
            folder()
    monkeypatch.setenv("HOME", "/somewhere")
    assert user_cache_folder() == Path("/somewhere/.cache/napari-muse")
