"""Checkpoints: the state of a run on disk, from which it is resumed exactly."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import torch

from muse_core.errors import UserError
from muse_core.files import replacing, steady_file

_RUN = "run"
_MOST_NAMED = 3


def identity_of(values: Mapping[str, Any]) -> str:
    """Return the identity of a run: all settings that change its course, as JSON text.

    Args:
        values: JSON-able; large values and files are represented by hashes.
    """
    return json.dumps(values, sort_keys=True)


def save_run(identity: str, state: Mapping[str, object], path: Path) -> None:
    """Write the state of a run with its identity, see :func:`identity_of`."""
    save_state({_RUN: identity, **state}, path)


def load_own_run(identity: str, path: Path) -> dict[str, Any] | None:
    """Read the state of a run, or None where there is none.

    Raises:
        UserError: The file is damaged, or of another run.
    """
    state = load_state(path)
    if state is None:
        return None
    differing = _differing(state.get(_RUN), identity)
    # Numbers are compared, not their text: Python has 40 where a file has 40.0.
    if differing is None or differing:
        raise UserError(
            f"The checkpoint {path} is of another run{_named(differing or ())}. Start anew with"
            " --restart, or write somewhere else."
        )
    return state


def _differing(theirs: object, ours: str) -> list[str] | None:
    """Names of the values in which two runs differ; None where that cannot be told."""
    if theirs == ours:
        return []
    try:
        before, now = _flat(json.loads(str(theirs))), _flat(json.loads(ours))
    except (ValueError, RecursionError):
        return None
    return sorted(n for n in {*before, *now} if before.get(n) != now.get(n))


def _named(differing: Sequence[str]) -> str:
    if not differing:
        return ""
    more = len(differing) - _MOST_NAMED
    named = ", ".join(differing[:_MOST_NAMED])
    return f": it differs in {named}" + (f" and {more} more" if more > 0 else "")


def _flat(values: object, name: str = "") -> dict[str, object]:
    if not isinstance(values, Mapping):
        return {name: values}
    inner = [_flat(v, f"{name}.{key}" if name else str(key)) for key, v in values.items()]
    return {key: value for part in inner for key, value in part.items()}


def save_state(state: Mapping[str, object], path: Path) -> None:
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
    """Context for restoring a run from a file; any error in it means that the file is damaged.

    Raises:
        UserError: The file is damaged; or it is a UserError already.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Unpicklers, networks and optimisers raise errors of any kind for odd values.
        raise UserError(f"The checkpoint {path} is damaged; delete it to start anew.") from error
