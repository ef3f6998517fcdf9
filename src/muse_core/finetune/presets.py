"""Presets for kinds of runs, and configurations built from files and plain values. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from muse_core.config_file import configuration, merged, read_values, with_settings
from muse_core.errors import UserError
from muse_core.finetune.config import ADAPT, FULL, FinetuneConfig
from muse_core.models.config import THIN, BackboneConfig, ModelConfig

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "folders": {"mode": FULL},
    "stores": {
        "mode": FULL,
        "steps": 150,
        "batch": 2,
        "learning_rate": 5e-4,
        "validate_every": 30,
        "backbone_rate": 0.1,
        "views": {"crop_px": 512},
        "consistency": {"weight": 1.0},
    },
    "adapt": {"mode": ADAPT, "steps": 200, "learning_rate": 5e-4, "validate_every": 40},
}
"""Differences from the defaults of FinetuneConfig for three kinds of runs: all weights on
points-folders, all weights on a few reviewed fields, and heads on a frozen backbone."""
_PRESET = "preset"
_WITH_UNLABELED = {"consistency": {"weight": 1.0}}
_THIN = "thin"


def read_finetune_config(path: str | Path, settings: Sequence[str] = ()) -> FinetuneConfig:
    """Read a configuration; paths in it are relative to the working folder.

    Args:
        path: A .toml file, or the .json file that a run leaves beside its model.
        settings: Values in place of those of the file, each ``NAME=VALUE``.

    Raises:
        UserError: The file is missing or malformed, or a field is unknown or wrong.
    """
    return resolved(with_settings(read_values(path), settings), Path(path).name)


def resolved(values: Mapping[str, Any], name: str = "The configuration") -> FinetuneConfig:
    """Build a configuration from plain values; a preset supplies those that are left out.

    Besides the fields of :class:`FinetuneConfig`, ``preset`` may name one of :data:`PRESETS`;
    otherwise it follows from the mode and from whether there are stores. ``model`` may be the name
    of a timm encoder, or "thin", instead of an architecture.

    Args:
        values: Values by the name of the field, as parsed from JSON or TOML.
        name: Their origin, for error messages.

    Raises:
        UserError: A field is unknown, missing or wrong.
    """
    own = dict(values)
    preset = own.pop(_PRESET, None) or _suiting(own)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise UserError(f"{name}: the preset is one of {', '.join(PRESETS)}, not {preset!r}.")
    defaults = dict(PRESETS[preset])
    other = FULL if defaults["mode"] == ADAPT else ADAPT
    if own.get("mode") == other:
        raise UserError(f"{name}: the preset {preset!r} is of the mode {defaults['mode']!r}.")
    if defaults["mode"] == FULL and own.get("unlabeled"):
        defaults = merged(defaults, _WITH_UNLABELED)
    if isinstance(own.get("model"), str):
        own["model"] = _network(own["model"]).to_json()
    return configuration(FinetuneConfig, merged(defaults, own), name)


def _suiting(values: Mapping[str, Any]) -> str:
    if values.get("mode") == ADAPT:
        return "adapt"
    return "stores" if values.get("stores") else "folders"


def _network(name: str) -> ModelConfig:
    return THIN if name == _THIN else ModelConfig(BackboneConfig(encoder=name))
