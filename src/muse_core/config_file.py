"""Configuration files: TOML written by hand, JSON written by a run. Imports no torch."""

from __future__ import annotations

import json
import platform
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from muse_core.errors import UserError
from muse_core.files import parse_json, read_small, replacing, text_of
from muse_core.strict import Wording, parse_strictly, plain_values

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_T = TypeVar("_T")


def read_values(path: str | Path) -> dict[str, Any]:
    """Read the values of a configuration, unchecked.

    Args:
        path: A .toml file, or a .json file as :func:`write_resolved` writes it.

    Raises:
        UserError: The file is missing, too large, or neither TOML nor JSON.
    """
    source = Path(path)
    content = read_small(source, "configuration", str(source))
    is_json = source.suffix.lower() == ".json"
    try:
        text = text_of(content)
        data = parse_json(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source.name} cannot be understood: {error}.") from error
    if isinstance(data, dict) and is_json:
        data = data.get("config", data)
    if not isinstance(data, dict):
        raise UserError(f"{source.name} is no configuration: it holds no names with values.")
    return data


def with_settings(values: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Return values with some replaced, each given as ``NAME=VALUE`` or ``PART.NAME=VALUE``.

    Args:
        values: Values of a configuration; not changed.
        settings: VALUE is parsed as TOML; if it is not valid TOML, it is taken as text.

    Raises:
        UserError: A setting has no name or no value, its PART has no fields, or it is given twice.
    """
    changed, given = dict(values), set[str]()
    for setting in settings:
        name, found, text = setting.partition("=")
        parts = name.strip().split(".")
        if not found or not all(parts):
            raise UserError(f"--set takes NAME=VALUE, such as steps=200; got {setting!r}.")
        if name.strip() in given:
            raise UserError(f"{name.strip()} is set twice; set it once.")
        given.add(name.strip())
        change: Any = _value(text)
        for part in reversed(parts):
            change = {part: change}
        changed = merged(changed, change)
    return changed


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with changes to them; parts that both have are merged, all else is replaced."""
    result = dict(values)
    for name, change in changes.items():
        before = result.get(name)
        if isinstance(before, Mapping) and isinstance(change, Mapping):
            change = merged(before, change)
        result[name] = change
    return result


def configuration(cls: type[_T], values: object, name: str) -> _T:
    """Build a configuration from plain values.

    Args:
        cls: Its dataclass, which has ``STRICT`` of :mod:`muse_core.strict`.
        values: As :func:`read_values` gives them.
        name: Their origin, for error messages.

    Raises:
        UserError: A field is unknown, missing or wrong.
    """
    wording = Wording(
        unknown=f"{name} has an unknown field",
        wrong=f"{name}: the field",
        unreadable=f"{name} holds a value that is not understood",
    )
    return parse_strictly(cls, values, wording)


def write_resolved(config: DataclassInstance, path: Path, packages: Iterable[str]) -> None:
    """Write the configuration of a run, and the versions of the packages it ran with."""
    versions = {name: version(name) for name in packages} | {"python": platform.python_version()}
    text = json.dumps({"config": plain_values(config), "versions": versions}, indent=1)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    # A line break in the text would bring further names.
    return parsed["value"] if len(parsed) == 1 else text
