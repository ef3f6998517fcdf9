"""Hashes of files and facts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson


def digest_of(facts: Any) -> str:
    """Return what changes with facts, and not with their order, hexadecimal.

    Args:
        facts: JSON-able; numbers of numpy are taken too.
    """
    return hashlib.sha256(canonical_json(facts)).hexdigest()


def canonical_json(facts: Any) -> bytes:
    """Return facts as JSON, the same whatever their order; see :func:`digest_of`."""
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def sha256_of(path: Path) -> str:
    """Changes with the content of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
