"""A converted network, loaded into OpenVINO. Importing this module loads numpy only."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.detect.backends.openvino_library import openvino

FEATURES, PROPOSALS = 0, 1
"""Outputs of a converted network: (1, h, w, C) and (1, 3 r r, h, w)."""
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


def compile_options(precision: str) -> dict[str, Any]:
    """Return options for OpenVINO: all cores work on one tile, so that the first is there soon."""
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": _threads(),
        # Bound to a core, a thread waits for whatever else runs there.
        "ENABLE_CPU_PINNING": False,
    }


class Session:
    """A network that computes one image at a time."""

    def __init__(self, blob: bytes, precision: str) -> None:
        """Load what the conversion exported; raises RuntimeError where OpenVINO refuses it."""
        library = openvino()
        self._model = library.Core().import_model(blob, "CPU", compile_options(precision))
        self._request = self._model.create_infer_request()

    def infer(
        self, image: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32] | npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
        """Compute one image.

        Args:
            image: (H, W, 3) uint8, sides multiples of 32.

        Returns:
            (h, w, C) features, float32, or bfloat16's bits as uint16, and (3 r r, h, w) float32
            output of the point head. Both are overwritten by the next image.
        """
        library = openvino()
        self._request.infer({0: np.ascontiguousarray(image)[None]}, share_inputs=True)
        f_map = self._request.get_output_tensor(FEATURES)
        values = f_map.data
        if f_map.element_type == library.Type.bf16:
            values = values.view(np.uint16)
        return values[0], self._request.get_output_tensor(PROPOSALS).data[0]


def _threads() -> int:
    """Return the number of threads of numerical libraries; see muse_core.jobs.processor."""
    try:
        wanted = int(os.environ.get("OMP_NUM_THREADS", ""))
    except ValueError:
        wanted = 0
    return wanted if wanted > 0 else usable_cores()


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
