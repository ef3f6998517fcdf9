"""Inference backends: what computes a network, behind one small interface.

Importing this package loads neither torch nor OpenVINO.
"""

from __future__ import annotations

from muse_core.detect.backends.backend import InferenceBackend
from muse_core.detect.backends.names import BACKENDS

__all__ = ["BACKENDS", "InferenceBackend"]
