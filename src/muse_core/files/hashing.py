"""Hashes of files and facts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson


def digest_of(facts: Any) -> str:
    """Return a hash of facts that does not depend on the order of keys, hexadecimal.

    Args:
        facts: JSON-able; numbers of numpy are taken too.
    """
    return hashlib.sha256(canonical_json(facts)).hexdigest()


def canonical_json(facts: Any) -> bytes:
    """Return facts as JSON with sorted keys; see :func:`digest_of`."""
    return orjson.dumps(facts, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
