"""The state of a run on disk: enough to go on after a crash as if nothing had happened."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import IO, Any, cast

import torch

from muse_core.errors import UserError
from muse_core.files import replacing, steady_file

# What reading other bytes than a state comes to, be they zeros, text or half of a state.
_DAMAGED = (
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write a state; an older one is replaced only once the new one is complete."""
    with replacing(path) as partial, steady_file(partial, reads_back=False) as file:
        torch.save(state, cast(IO[bytes], file))


def load_state(path: Path) -> dict[str, Any] | None:
    """Read a state, or None where there is none.

    Raises:
        UserError: The file is damaged.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise UserError(f"The checkpoint {path} is damaged; delete it to start anew.") from error
    return state
