"""Whole-slide detection: tile plan, read -> infer -> merge, every nucleus exactly once.

Importing this package is light; a model that is converted is run without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from muse_core.callable_package import make_callable

if TYPE_CHECKING:
    from muse_core.detect.backends import InferenceBackend
    from muse_core.detect.backends.choosing import open_backend
    from muse_core.detect.config import DetectConfig
    from muse_core.detect.detector import DetectListener, Detector, DetectResult, detect_image
    from muse_core.detect.model import PointModel
    from muse_core.models.device import choose_device

__all__ = [
    "DetectConfig",
    "DetectListener",
    "DetectResult",
    "Detector",
    "InferenceBackend",
    "PointModel",
    "choose_device",
    "detect_image",
    "open_backend",
]

_MODULES = {
    "DetectConfig": "muse_core.detect.config",
    "DetectListener": "muse_core.detect.detector",
    "DetectResult": "muse_core.detect.detector",
    "Detector": "muse_core.detect.detector",
    "InferenceBackend": "muse_core.detect.backends",
    "PointModel": "muse_core.detect.model",
    "choose_device": "muse_core.models.device",
    "detect_image": "muse_core.detect.detector",
    "open_backend": "muse_core.detect.backends.choosing",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


make_callable(__name__, "muse_core.detect.whole", "detect")
