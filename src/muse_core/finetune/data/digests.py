"""Hashes of the data of a run, by which a checkpoint recognises its own."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def digest_of_values(*parts: object) -> str:
    """Hash of some values in their order, hexadecimal; arrays count by their content."""
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
    """Hash of all attributes of a dataclass, hexadecimal."""
    return digest_of_values(*(getattr(item, field.name) for field in fields(item)))
