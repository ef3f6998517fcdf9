"""Download the released backbones from the Hugging Face Hub, verify them and write model files."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import errors
from tqdm.auto import tqdm

from muse_core.errors import UserError
from muse_core.files import make_folder, no_room_sentence, only_one, replacing, sha256_of
from muse_core.models.card import MODEL_SUFFIX
from muse_core.models.registry import user_model_folder
from muse_core.models.released import DEFAULT_MPP, RELEASED, REPOSITORY, ReleasedModel
from muse_core.models.released_import import import_released
from muse_core.progress import OnProgress

_SHA256 = re.compile(r"[0-9a-f]{64}")


def fetch_released(
    name: str,
    out: str | Path | None = None,
    mpp: float = DEFAULT_MPP,
    on_progress: OnProgress | None = None,
    cache: str | Path | None = None,
) -> Path:
    """Download a released backbone and write it as a model file.

    The download goes to the Hub's cache, is resumed after an interruption, and not repeated. The
    environment variable HF_ENDPOINT names another server than the Hub's.

    Args:
        name: One of the names in :data:`muse_core.models.released.RELEASED`.
        out: Model file to write; None writes to the user's models.
        mpp: Microns per pixel for the card.
        on_progress: Called with bytes done, bytes in all (0 if unknown) and a message.
        cache: Folder of the Hub's cache; None takes the usual one.

    Returns:
        The model file.

    Raises:
        UserError: The name is unknown, the server cannot be reached or lacks the file, the download
            is damaged or cannot be checked, or the file is not what it should be.
    """
    released = next((r for r in RELEASED if r.name == name), None)
    if released is None:
        known = ", ".join(r.name for r in RELEASED)
        raise UserError(f"There is no released model {name!r}; choose from {known}.")
    target = Path(out) if out is not None else user_model_folder() / f"{name}{MODEL_SUFFIX}"
    make_folder(target.parent)
    with only_one(target):
        file = _intact_download(released, on_progress, cache)
        return import_released(
            file, target, mpp=mpp, fov_px=released.fov_px, name=name, expected=released.name
        )


def _intact_download(
    released: ReleasedModel, on_progress: OnProgress | None, cache: str | Path | None
) -> Path:
    file = _download(released, on_progress, cache, again=False)
    if not _is_intact(file):
        # The file in the cache may be damaged: download it a second time before giving up.
        with contextlib.suppress(OSError):  # the library overwrites it only where it is a link
            file.unlink()
        file = _download(released, on_progress, cache, again=True)
        if not _is_intact(file):
            raise UserError(f"The download of {file.name} is damaged: its checksum is wrong.")
    return file


def _download(
    released: ReleasedModel, on_progress: OnProgress | None, cache: str | Path | None, again: bool
) -> Path:
    server = _server()
    bar = _reporting(on_progress or (lambda *_: None), f"Fetching {released.name}")
    # The authors' evaluation code has the same names with a prefix.
    for file_name in (f"{released.stem}.pth", f"muse-{released.stem}.pth"):
        try:
            with _without_warnings():
                return Path(
                    huggingface_hub.hf_hub_download(
                        REPOSITORY,
                        file_name,
                        cache_dir=cache,
                        endpoint=server,
                        force_download=again,
                        tqdm_class=bar,
                    )
                )
        except errors.RemoteEntryNotFoundError:
            continue
        except errors.RepositoryNotFoundError as error:
            raise UserError(f"{server} has no repository {REPOSITORY}, or hides it.") from error
        except errors.LocalEntryNotFoundError as error:
            raise UserError(
                f"{server} cannot be reached, and {file_name} has not been fetched before."
            ) from error
        except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:
            if no_room_sentence(error):
                folder = cache or huggingface_hub.constants.HF_HUB_CACHE
                raise UserError(
                    f"There is no room for {file_name} in {folder}; the environment variable"
                    " HF_HUB_CACHE names another folder."
                ) from error
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise UserError(
                f"{file_name} could not be fetched from {server}: {reason[0].rstrip('.')}."
            ) from error
    raise UserError(f"{server} has no file {released.stem}.pth in {REPOSITORY}.")


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence the library's warnings about each attempt; the final error is reported by us."""
    log = logging.getLogger("huggingface_hub")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        log.setLevel(before)


def _server() -> str:
    # Read at the call: the library itself reads it once, when it is imported.
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _is_intact(file: Path) -> bool:
    """Whether the file has the SHA-256 the server gave; True where it gave none."""
    # A link leads to a file of that name; what comes behind it may be named otherwise.
    expected = file.readlink().name if file.is_symlink() else _remembered_etag(file)
    return not _SHA256.fullmatch(expected) or sha256_of(file) == expected


def _remembered_etag(file: Path) -> str:
    """Return the server's ETag of a file, kept beside it to be known without the server.

    The folder is that of one commit, in which a file never changes.

    Raises:
        UserError: It is not known yet, and the server does not say.
    """
    note = file.with_name(f".{file.name}.etag")
    if note.is_file():
        return note.read_text(encoding="utf-8")
    server = _server()
    url = huggingface_hub.hf_hub_url(
        REPOSITORY, file.name, revision=file.parent.name, endpoint=server
    )
    try:
        etag = huggingface_hub.get_hf_file_metadata(url).etag or ""
    except (errors.HTTPError, OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{file.name} has not been checked yet, and {server} does not say its checksum."
        ) from error
    # A cache that cannot be written is asked about again.
    with contextlib.suppress(UserError), replacing(note) as partial:
        partial.write_text(etag, encoding="utf-8")
    return etag


def _reporting(report: OnProgress, message: str) -> type[tqdm[Any]]:
    """Return a tqdm class that draws nothing and passes the bytes done to a callback."""

    class Reporter(tqdm):  # type: ignore[misc]  # tqdm has no types
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **{**options, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            report(int(self.n), int(self.total or 0), message)
            return shown

    return Reporter
