"""Pretraining configurations as files: TOML to write by hand, JSON as resolved. No torch."""

from __future__ import annotations

import json
import platform
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from muse_core.errors import UserError
from muse_core.files import replacing
from muse_core.models.config import BackboneConfig
from muse_core.pretrain.config import PretrainConfig

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
    except ValueError as error:
        raise UserError(f"{source.name} cannot be understood: {error}.") from error
    if source.suffix == ".json" and isinstance(data, dict):
        data = data.get("config", data)
    return config_from(data, source.name)


def config_from(data: object, name: str) -> PretrainConfig:
    """Build a configuration from plain values; see :func:`read_config`."""
    if isinstance(data, dict) and isinstance(data.get("model"), dict):
        BackboneConfig.from_json(data["model"])
    try:
        # By way of text, so that a list may stand for a pair.
        return _adapter().validate_json(json.dumps(data))
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, UserError):
            raise UserError(str(cause)) from error
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            raise UserError(f"{name} has an unknown field {where!r}.") from error
        raise UserError(f"{name}: the field {where!r} is wrong: {first['msg']}.") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} holds a value that is not understood: {error}.") from error


def config_to_json(config: PretrainConfig) -> dict[str, Any]:
    """All values, JSON-able; the inverse of :func:`config_from`."""
    data: dict[str, Any] = _adapter().dump_python(config, mode="json")
    return data


def write_resolved(config: PretrainConfig, path: Path) -> None:
    """Write all values of a run and the versions it ran with."""
    versions = {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()}
    with replacing(path) as partial:
        text = json.dumps({"config": config_to_json(config), "versions": versions}, indent=1)
        partial.write_text(text, encoding="utf-8")


def _adapter() -> TypeAdapter[PretrainConfig]:
    return TypeAdapter(PretrainConfig)
