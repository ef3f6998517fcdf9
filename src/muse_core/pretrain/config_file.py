"""Pretraining configurations as files, see :mod:`muse_core.config_file`. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from muse_core.config_file import configuration, read_values, with_settings
from muse_core.pretrain.config import PretrainConfig

PACKAGES = ("napari-muse", "torch", "lightning-fabric", "timm", "kornia", "numpy")
"""Packages whose versions are recorded with the configuration of a run."""


def read_pretrain_config(path: str | Path, settings: Sequence[str] = ()) -> PretrainConfig:
    """Read a configuration; paths in it are relative to the working folder.

    Args:
        path: A .toml file, or a .json file as a run leaves it.
        settings: Values in place of those of the file, each ``NAME=VALUE``.

    Raises:
        UserError: The file is missing or malformed, or a field is unknown or wrong.
    """
    values = with_settings(read_values(path), settings)
    return configuration(PretrainConfig, values, Path(path).name)
