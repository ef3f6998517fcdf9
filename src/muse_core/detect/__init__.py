"""Whole-slide detection: tile plan, read -> infer -> merge, every nucleus exactly once.

Importing this package loads torch.
"""

from __future__ import annotations

from muse_core.callable_package import make_callable
from muse_core.detect.config import DetectConfig
from muse_core.detect.detector import Detector, DetectResult, detect_image
from muse_core.detect.model import PointModel
from muse_core.models.device import choose_device

__all__ = [
    "DetectConfig",
    "DetectResult",
    "Detector",
    "PointModel",
    "choose_device",
    "detect_image",
]

make_callable(__name__, "muse_core.detect.whole", "detect")
