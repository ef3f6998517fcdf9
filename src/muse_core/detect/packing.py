"""Detections as bytes and back, exactly."""

from __future__ import annotations

import struct

import numpy as np

from muse_core.models.tile_detections import TileDetections

_HEAD = struct.Struct("<IHHB")
"""Nuclei, classes, channels of features, and whether there are features."""


def pack(found: TileDetections) -> bytes:
    """The bytes of some nuclei, little-endian; :func:`unpack` is the inverse."""
    features = found.features
    channels = 0 if features is None else features.shape[1]
    head = _HEAD.pack(len(found), found.class_probs.shape[1], channels, features is not None)
    parts = [found.xy.astype("<f8"), found.score.astype("<f4"), found.class_probs.astype("<f4")]
    if features is not None:
        parts.append(features.astype("<f2"))
    return head + b"".join(part.tobytes() for part in parts)


def packed_size(head: bytes) -> int:
    """Return the number of bytes that nuclei take, by their first :data:`HEAD_BYTES`."""
    n, classes, channels, _ = _HEAD.unpack(head)
    return int(_HEAD.size + n * (16 + 4 + 4 * classes + 2 * channels))


def unpack(data: bytes) -> TileDetections:
    """The nuclei of some bytes."""
    n, classes, channels, with_features = _HEAD.unpack_from(data)
    at = _HEAD.size
    arrays = []
    for kind, columns in (("<f8", 2), ("<f4", 1), ("<f4", classes), ("<f2", channels)):
        arrays.append(np.frombuffer(data, kind, n * columns, at).reshape(n, columns))
        at += arrays[-1].nbytes
    xy, score, probs, features = arrays
    return TileDetections(xy, score[:, 0], probs, features if with_features else None)


HEAD_BYTES = _HEAD.size
