"""Model files: safetensors with the model card in its metadata. Nothing pickled is ever loaded."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from muse_core.errors import UserError
from muse_core.files import make_folder, replacing
from muse_core.models.backbone import MuseBackbone
from muse_core.models.card import BACKBONE, METADATA_KEY, ModelCard, read_card
from muse_core.models.config import BackboneConfig
from muse_core.models.muse_model import MuseModel
from muse_core.models.registry import resolve_model
from muse_core.ordinary import as_path

_BACKBONE_PREFIX = "backbone."


def save_model(model: MuseModel, path: str | Path, half: bool = True) -> None:
    """Write a model and its card; an older file is replaced only once the new one is complete.

    Args:
        model: The model; its weights may live on any device.
        path: Target, by convention ending in ``.safetensors``.
        half: Store floating-point weights as float16, which halves the file.

    Raises:
        UserError: The file cannot be written.
    """
    _write(model.state_dict(), model.card, Path(path), half)


def as_saved(model: MuseModel) -> MuseModel:
    """Return a copy with the weights that :func:`save_model` writes: rounded to float16.

    What is said of a file is measured on this copy. In bfloat16 the rounding moves scores by up to
    a hundredth, enough for a nucleus to cross the threshold.

    Args:
        model: The model; stays as it is.
    """
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for value in rounded.state_dict().values():
            if value.is_floating_point():
                value.copy_(value.half())
    return rounded


def save_backbone(
    backbone: MuseBackbone, card: ModelCard, path: str | Path, half: bool = True
) -> None:
    """Write a backbone without heads; see :func:`save_model`.

    Args:
        backbone: The network.
        card: Its card, of kind "backbone".
        path: Target.
        half: Store floating-point weights as float16.
    """
    state = {f"{_BACKBONE_PREFIX}{k}": v for k, v in backbone.state_dict().items()}
    _write(state, card, Path(path), half)


def load_model(name_or_path: str | Path, device: torch.device | str = "cpu") -> MuseModel:
    """Load a detection model in evaluation mode.

    Args:
        name_or_path: A file, or as a string also a name that ``muse models list`` gives.
        device: Where its weights are to be.

    Raises:
        UserError: There is no such model, it is not a MUSE model or only a backbone, or its weights
            do not fit its card.
    """
    source = as_path(name_or_path)
    if isinstance(name_or_path, str):
        source = resolve_model(name_or_path)
    card = read_card(source)
    card.require_detector()
    model = MuseModel(card)
    _fill(model, _read(source), source)
    return model.to(device).eval()


def load_backbone(
    path: str | Path, device: torch.device | str = "cpu"
) -> tuple[MuseBackbone, ModelCard]:
    """Load the backbone of a model of either kind in evaluation mode.

    Returns:
        The network and the file's card.

    Raises:
        UserError: The file is missing, is not a MUSE model, or its weights do not fit its card.
    """
    source = Path(path)
    card = read_card(source)
    config = card.architecture.get("backbone")
    if not isinstance(config, Mapping):
        raise UserError(f"The card of {source.name} describes no backbone.")
    backbone = MuseBackbone(BackboneConfig.from_json(config))
    state = {
        key.removeprefix(_BACKBONE_PREFIX): value
        for key, value in _read(source).items()
        if key.startswith(_BACKBONE_PREFIX) or card.kind == BACKBONE
    }
    _fill(backbone, state, source)
    return backbone.to(device).eval(), card


def _write(state: Mapping[str, Tensor], card: ModelCard, target: Path, half: bool) -> None:
    tensors = {}
    for name, value in state.items():
        stored = value.detach().cpu()
        if half and stored.is_floating_point():
            stored = stored.half()
        if stored.is_floating_point() and not stored.isfinite().all():
            raise UserError(
                f"Cannot write {target}: the weight {name!r} is too large or no number; a lower"
                " learning rate may help."
            )
        tensors[name] = stored.contiguous()
    make_folder(target.parent)
    with replacing(target) as partial:
        # The library's own save_file makes files that nobody but their owner may read.
        partial.write_bytes(save(tensors, metadata={METADATA_KEY: card.to_text()}))


def _read(source: Path) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = load_file(source, device="cpu")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{source.name} is damaged: {error}.") from error
    return state


def _fill(network: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    wanted = network.state_dict()
    if set(state) != set(wanted) or any(state[k].shape != wanted[k].shape for k in wanted):
        raise UserError(f"The weights in {source.name} do not fit the architecture in its card.")
    for name, value in state.items():
        # Such a network finds nothing, and says so without an error.
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(f"{source.name} is damaged: {name!r} holds values that are no numbers.")
    network.load_state_dict({k: v.to(wanted[k].dtype) for k, v in state.items()})
