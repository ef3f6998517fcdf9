"""What a run writes beside its model: a record to repeat it from, and a checkpoint to resume it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from muse_core.config_file import write_resolved
from muse_core.files.targets import destination
from muse_core.finetune.config import FinetuneConfig
from muse_core.finetune.inputs import LabelSet

RECORD_SUFFIX = ".config.json"
"""``mine.safetensors`` has ``mine.config.json`` beside it."""
_PACKAGES = ("napari-muse", "torch", "timm", "numpy")


def record_path(out: Path) -> Path:
    """Return where the configuration of a model file is written; links are followed."""
    return destination(out).with_suffix(RECORD_SUFFIX)


def checkpoint_path(out: Path) -> Path:
    """Return where the checkpoint of a run lies until it is finished."""
    return out.with_suffix(".checkpoint")


def write_record(config: FinetuneConfig) -> None:
    """Write all settings of a run and the library versions, in a form that ``--config`` reads."""
    write_resolved(_anywhere(config), record_path(config.out), _PACKAGES)


def _anywhere(config: FinetuneConfig) -> FinetuneConfig:
    """The run with absolute paths."""
    return replace(
        config,
        out=config.out.absolute(),
        base=config.base and config.base.absolute(),
        train=tuple(_absolute(folder) for folder in config.train),
        val=config.val and _absolute(config.val),
        stores=tuple(
            replace(s, store=s.store.absolute(), slide=s.slide and s.slide.absolute())
            for s in config.stores
        ),
        distillation=replace(
            config.distillation,
            teacher=config.distillation.teacher and config.distillation.teacher.absolute(),
        ),
        unlabeled=tuple(replace(u, path=u.path.absolute()) for u in config.unlabeled),
    )


def _absolute(folder: LabelSet) -> LabelSet:
    return replace(folder, folder=folder.folder.absolute())
