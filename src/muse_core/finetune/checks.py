"""Checks that refuse a run before anything is read or trained. Imports no torch."""

from __future__ import annotations

from dataclasses import replace

from muse_core.errors import UserError
from muse_core.finetune.config import FinetuneConfig
from muse_core.models.card import check_model_target, read_card
from muse_core.models.registry import resolve_model
from muse_core.ordinary import require_folder


def with_found_base(config: FinetuneConfig) -> FinetuneConfig:
    """Return the run with the file of its base in place of a name.

    Raises:
        UserError: The model cannot be written, or a folder, store or the base is not there.
    """
    out = check_model_target(config.out)
    for folder in (*config.train, *((config.val,) if config.val else ())):
        require_folder(folder.folder)
    for source in config.stores:
        if not source.store.is_file():
            raise UserError(f"There is no annotation store {source.store}.")
    if config.base is None:
        return config
    base = resolve_model(config.base)
    read_card(base)
    if out.exists() and out.samefile(base):
        raise UserError(f"Cannot write {out}: it is the model to start from.")
    return replace(config, base=base)
