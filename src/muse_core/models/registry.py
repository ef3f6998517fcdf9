"""Models that are installed: the bundled ones and those in the user's folder. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from muse_core.errors import UserError, cannot
from muse_core.files import entries
from muse_core.files.names import portable
from muse_core.files.user_folders import user_data_folder
from muse_core.models.card import MODEL_SUFFIX, ModelCard, read_card
from muse_core.models.released import RELEASED, ReleasedModel

DEFAULT_MODEL = "muse-base"
_BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True)
class ModelEntry:
    """A model on this machine."""

    name: str
    path: Path
    card: ModelCard
    bundled: bool


def user_model_folder() -> Path:
    """Return the folder of the user's own models; it need not exist."""
    return user_data_folder() / "models"


def path_of_new_model(name: str) -> Path:
    """The file of a model of this name in the user's folder.

    Raises:
        UserError: No file can have the name, or a bundled model has it.
    """
    if portable(name) != name or name.startswith("."):
        raise UserError(f"{name!r} cannot name a model, since no file can be called so everywhere.")
    if name in {path.stem for path in entries(_BUNDLED, f"*{MODEL_SUFFIX}")}:
        raise UserError(f"The model {name!r} comes with napari-muse; choose another name.")
    return user_model_folder() / f"{name}{MODEL_SUFFIX}"


def list_models() -> list[ModelEntry]:
    """The bundled models, then the user's by name; files that are no models are passed over."""
    models = []
    for folder, bundled in ((_BUNDLED, True), (user_model_folder(), False)):
        for path in entries(folder, f"*{MODEL_SUFFIX}") if folder.is_dir() else ():
            try:
                models.append(ModelEntry(path.stem, path, read_card(path), bundled))
            except UserError:
                continue
    return models


def available_models() -> list[ReleasedModel]:
    """The released backbones that could be fetched and are not on this machine yet."""
    present = {entry.name for entry in list_models()}
    return [released for released in RELEASED if released.name not in present]


def resolve_model(name_or_path: str | Path | None = None) -> Path:
    """File of a model, by its name in the registry or by its path; None means the default.

    Raises:
        UserError: There is neither such a model nor such a file.
    """
    wanted = DEFAULT_MODEL if name_or_path is None else str(name_or_path)
    entries = {entry.name: entry.path for entry in reversed(list_models())}
    if wanted in entries:
        return entries[wanted]
    path = Path(wanted)
    try:
        if path.is_file():
            return path
    except OSError as error:
        raise cannot("open", path, error) from error
    if wanted in {released.name for released in RELEASED}:
        raise UserError(
            f"The model {wanted!r} is not on this machine yet; get it with"
            f" muse models fetch {wanted}."
        )
    known = ", ".join(sorted(entries)) or "none"
    raise UserError(f"There is no model {wanted!r}; the models at hand are {known}.")
