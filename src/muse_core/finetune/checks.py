"""Checks that refuse a run before anything is read or trained. Imports no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from muse_core.errors import UserError
from muse_core.finetune.config import FinetuneConfig
from muse_core.models.card import check_model_target, read_card
from muse_core.models.registry import resolve_model
from muse_core.ordinary import require_folder


def with_found_models(config: FinetuneConfig) -> FinetuneConfig:
    """Return the run with the files of its base and its teacher in place of names.

    Raises:
        UserError: The model cannot be written, or a folder, store or model is not there.
    """
    out = check_model_target(config.out)
    for folder in (*config.train, *((config.val,) if config.val else ())):
        require_folder(folder.folder)
    for source in config.stores:
        if not source.store.is_file():
            raise UserError(f"There is no annotation store {source.store}.")
    taught = replace(
        config.distillation,
        teacher=_found(config.distillation.teacher, out, "the model to learn from"),
    )
    base = _found(config.base, out, "the model to start from")
    return replace(config, base=base, distillation=taught)


def _found(model: Path | None, out: Path, what: str) -> Path | None:
    if model is None:
        return None
    path = resolve_model(model)
    read_card(path)
    if out.exists() and out.samefile(path):
        raise UserError(f"Cannot write {out}: it is {what}.")
    return path
