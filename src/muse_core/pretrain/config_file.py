"""Pretraining configurations as files: TOML to write by hand, JSON as resolved. No torch."""

from __future__ import annotations

import json
import platform
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from muse_core.errors import UserError
from muse_core.files import replacing
from muse_core.models.config import BackboneConfig
from muse_core.pretrain.config import PretrainConfig
from muse_core.strict import Wording, parse_strictly

_PACKAGES = ("napari-muse", "torch", "lightning-fabric", "timm", "kornia", "numpy")


def read_config(path: str | Path) -> PretrainConfig:
    """Read a configuration; paths in it are relative to the working folder.

    Args:
        path: A .toml file, or a .json file as a run leaves it.

    Raises:
        UserError: The file is missing or malformed, or a field is unknown or wrong.
    """
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8")
        data = json.loads(text) if source.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UserError(f"Cannot read {source}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source.name} cannot be understood: {error}.") from error
    if source.suffix == ".json" and isinstance(data, dict):
        data = data.get("config", data)
    return config_from(data, source.name)


def config_from(data: object, name: str) -> PretrainConfig:
    """Build a configuration from plain values; see :func:`read_config`."""
    if isinstance(data, dict) and isinstance(data.get("model"), dict):
        BackboneConfig.from_json(data["model"])
    wording = Wording(
        unknown=f"{name} has an unknown field",
        wrong=f"{name}: the field",
        unreadable=f"{name} holds a value that is not understood",
    )
    return parse_strictly(PretrainConfig, data, wording)


def config_to_json(config: PretrainConfig) -> dict[str, Any]:
    """All values, JSON-able; the inverse of :func:`config_from`."""
    data: dict[str, Any] = TypeAdapter(PretrainConfig).dump_python(config, mode="json")
    return data


def write_resolved(config: PretrainConfig, path: Path) -> None:
    """Write all values of a run and the versions it ran with."""
    versions = {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()}
    with replacing(path) as partial:
        text = json.dumps({"config": config_to_json(config), "versions": versions}, indent=1)
        partial.write_text(text, encoding="utf-8")
