"""OpenVINO itself, imported in one place. Importing this module loads it."""

from __future__ import annotations

import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np

from muse_core.detect.backends.names import AUTO, INT8
from muse_core.errors import UserError
from muse_core.processor import emulates_bfloat16

_ONE_AT_A_TIME = threading.Lock()


def is_installed() -> bool:
    """Whether OpenVINO is on this machine; does not load it."""
    return importlib.util.find_spec("openvino") is not None


def openvino() -> Any:
    """The library, without its telemetry.

    Raises:
        UserError: It is not installed, or cannot be loaded here.
    """
    # Importing it would send an event to its makers, also from a hospital.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino as library
    except ImportError as error:
        raise UserError(
            "OpenVINO is not installed; pip install 'napari-muse[openvino]', or choose the backend"
            " torch."
        ) from error
    assert isinstance(library, ModuleType)
    with _ONE_AT_A_TIME:
        _set_up_numpy(library)
    return library


def _set_up_numpy(library: Any) -> None:
    """Let OpenVINO look up numpy's types, which it does once, at their first use.

    It lets go of Python's lock halfway. If two threads are the first, one waits for that lock and
    the other, which has it, for the table of types: the program then stands still for ever.
    """
    tensor = library.Tensor(np.zeros(1, np.uint8), shared_memory=True)
    assert tensor.element_type.to_dtype() == tensor.data.dtype


def floats_of(precision: str) -> str:
    """Return float32 or bfloat16: what OpenVINO computes in, or what is left of it to int8.

    Args:
        precision: auto, float32, bfloat16 or int8.
    """
    if precision not in (AUTO, INT8):
        return precision
    supported = "BF16" in openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bfloat16" if supported and not emulates_bfloat16() else "float32"
