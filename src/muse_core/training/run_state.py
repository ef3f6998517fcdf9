"""The state of a run on disk: enough to go on after a crash as if nothing had happened."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import torch

from muse_core.errors import UserError
from muse_core.files import replacing, steady_file


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
    with restoring(path):
        with zipfile.ZipFile(path) as archive:
            # torch leaves the checksums alone: a changed byte would go into the weights.
            if archive.testzip() is not None:
                raise ValueError("a checksum is wrong")
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): part for name, part in state.items()}


@contextlib.contextmanager
def restoring(path: Path) -> Iterator[None]:
    """While a run takes over what a file holds: whatever that raises, the file is damaged.

    Raises:
        UserError: The file is damaged; or it is a UserError already.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Unpicklers, networks and optimisers raise whatever comes of odd values.
        raise UserError(f"The checkpoint {path} is damaged; delete it to start anew.") from error
