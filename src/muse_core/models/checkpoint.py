"""Model files: safetensors with the model card in its metadata. Nothing pickled is ever loaded."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from muse_core.errors import UserError
from muse_core.models.card import METADATA_KEY, read_card
from muse_core.models.muse_model import MuseModel


def save_model(model: MuseModel, path: str | Path, half: bool = True) -> None:
    """Write a model and its card; an older file is replaced only once the new one is complete.

    Args:
        model: The model; its weights may live on any device.
        path: Target, by convention ending in ``.safetensors``.
        half: Store floating-point weights as float16, which halves the file.

    Raises:
        UserError: The file cannot be written.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    tensors = {}
    for name, value in model.state_dict().items():
        stored = value.detach().cpu()
        if half and stored.is_floating_point():
            stored = stored.half()
        tensors[name] = stored.contiguous()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, metadata={METADATA_KEY: model.card.to_text()})
        partial.replace(target)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise UserError(f"Cannot write {target}: {error}.") from error


def load_model(path: str | Path, device: torch.device | str = "cpu") -> MuseModel:
    """Load a model in evaluation mode.

    Raises:
        UserError: The file is missing, is not a MUSE model, or its weights do not fit its card.
    """
    source = Path(path)
    model = MuseModel(read_card(source))
    try:
        state = load_file(source, device="cpu")
    except (SafetensorError, OSError) as error:
        raise UserError(f"{source.name} is damaged: {error}.") from error
    wanted = model.state_dict()
    if set(state) != set(wanted) or any(state[k].shape != wanted[k].shape for k in wanted):
        raise UserError(f"The weights in {source.name} do not fit the architecture in its card.")
    model.load_state_dict({k: v.to(wanted[k].dtype) for k, v in state.items()})
    return model.to(device).eval()
