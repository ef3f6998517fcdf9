"""Hashes that change with any of the data of a run."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def digest_of_values(*parts: object) -> str:
    """Changes with any part and with their order, hexadecimal; arrays count by their content."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.shape}{part.dtype}".encode())
            digest.update(part.tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def digest_of_attributes(item: DataclassInstance) -> str:
    """Changes with any attribute of a dataclass, hexadecimal."""
    return digest_of_values(*(getattr(item, field.name) for field in fields(item)))
