"""Choose the backend for a model file. Loads torch only where torch is to be used."""

from __future__ import annotations

import ctypes.util
import platform
import sys
from pathlib import Path

from muse_core.detect.backends.backend import InferenceBackend, NotConvertibleError
from muse_core.detect.backends.names import AUTO, INT8, OPENVINO
from muse_core.detect.backends.openvino_library import is_installed
from muse_core.detect.config import DetectConfig
from muse_core.errors import UserError


def open_backend(path: Path, config: DetectConfig) -> InferenceBackend:
    """Load a model file on the configured device.

    Args:
        path: The model.
        config: Device, backend and batch.

    Raises:
        UserError: The model or the device cannot be used, or OpenVINO was asked for, as int8 does,
            and cannot compute the model.
    """
    notes: list[str] = []
    # What only OpenVINO computes asks for it.
    asked_for = config.backend == OPENVINO or config.precision == INT8
    if asked_for and config.device not in (AUTO, "cpu"):
        if config.precision == INT8:
            raise UserError(
                f"int8 runs on CPUs only, not on {config.device}; choose the device cpu or"
                " another precision."
            )
        raise UserError(
            f"OpenVINO runs on CPUs only, not on {config.device}; choose the device cpu or"
            " the backend torch."
        )
    if asked_for or (
        config.backend == AUTO and is_installed() and _is_processor_meant(config.device)
    ):
        from muse_core.detect.backends.openvino_backend import OpenVinoBackend

        try:
            return OpenVinoBackend(path, config.precision)
        except NotConvertibleError as refusal:
            if asked_for:
                raise
            notes.append(str(refusal))
    backend = _torch_backend(path, config)
    backend.notes += notes
    return backend


def _torch_backend(path: Path, config: DetectConfig) -> InferenceBackend:
    from muse_core.detect.backends.torch_backend import TorchBackend
    from muse_core.models.checkpoint import load_model
    from muse_core.models.device import choose_device

    return TorchBackend(
        load_model(path), choose_device(config.device), config.batch, config.precision
    )


def _is_processor_meant(device: str) -> bool:
    if device != AUTO:
        return device == "cpu"
    if not may_have_gpu():
        return True
    from muse_core.models.device import choose_device

    return choose_device(AUTO).type == "cpu"


def may_have_gpu() -> bool:
    """Whether it is worth loading torch to ask for a GPU: its driver is on this machine."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return ctypes.util.find_library("nvcuda") is not None
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
