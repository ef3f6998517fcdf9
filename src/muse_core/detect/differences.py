"""Name the settings in which a run differs from an earlier one with the same output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from muse_core.files import digest_of

_DIGITS = 16
_OWN_WORDS = {
    "version": "version of this program",
    "mpp": "scale (mpp)",
    "polygons": "region",
    "min_score": "minimum score",
    "format": "version of this program",
}
_FOLLOWS = "plan"
"""The plan follows from slide, region and settings; it is named only if none of these differs."""


def facts_of_key(key: Mapping[str, Any]) -> dict[str, str]:
    """Digest of each value in the key of a run; settings are listed as ``settings.NAME``."""
    flat: dict[str, object] = {}
    for name, value in key.items():
        if isinstance(value, Mapping) and name == "settings":
            flat |= {f"settings.{setting}": v for setting, v in value.items()}
        else:
            flat[name] = value
    return {name: digest_of(value)[:_DIGITS] for name, value in flat.items()}


def differences(earlier: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Names of the facts that differ, such as "model, device"; "" where none does."""
    names = [n for n in {**now, **earlier} if earlier.get(n) != now.get(n)]
    if names != [_FOLLOWS]:
        names = [name for name in names if name != _FOLLOWS]
    return ", ".join(dict.fromkeys(_words(names)))


def _words(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        bare = name.removeprefix("settings.")
        if name == _FOLLOWS:
            yield "tiles"
        else:
            yield _OWN_WORDS.get(bare, bare)
