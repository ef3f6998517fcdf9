"""A converted network, loaded into OpenVINO. Importing this module loads numpy only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.detect.backends.openvino_library import floats_of, openvino
from muse_core.detect.backends.tile_size import STREAMS

FEATURES, PROPOSALS = 0, 1
"""Outputs of a converted network: (1, C, h, w) and (1, 3 r r, h, w)."""
_CODE_KEPT = 1024
"""Compiled layers that OpenVINO caches: those of about 30 tile sizes, at 6 MB a size. With its
default of 5,000, memory grew with each new size and stayed taken between slides."""
_HINTS = {"float32": "f32", "bfloat16": "bf16"}

Outputs = tuple[npt.NDArray[np.float32] | npt.NDArray[np.uint16], npt.NDArray[np.float32]]


def compile_options(precision: str) -> dict[str, Any]:
    """Return options for OpenVINO: each stream computes a tile of its own, with its own cores.

    Two cores that share a tile wait for each other at each of a hundred steps: with a tile each
    they were seen to do twice as much.
    """
    threads = _threads()
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[floats_of(precision)],
        "NUM_STREAMS": str(min(STREAMS, threads)),
        "INFERENCE_NUM_THREADS": threads,
        # Bound to a core, a thread waits for whatever else runs there.
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": _CODE_KEPT,
    }


class Session:
    """A network that computes some images at a time; safe to use from several threads.

    Attributes:
        streams: Images computed at a time; whoever brings more waits.
    """

    def __init__(self, blob: bytes, precision: str) -> None:
        """Load what the conversion exported; raises RuntimeError where OpenVINO refuses it."""
        options = compile_options(precision)
        model = openvino().Core().import_model(blob, "CPU", options)
        self.streams = int(options["NUM_STREAMS"])
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.streams):
            self._idle.put(model.create_infer_request())

    @contextmanager
    def computed(self, image: npt.NDArray[np.uint8]) -> Iterator[Outputs]:
        """Compute one image.

        Args:
            image: (H, W, 3) uint8, sides multiples of 32.

        Returns:
            A context with (C, h, w) features, float32, or bfloat16's bits as uint16, and
            (3 r r, h, w) float32 output of the point head. After it both are overwritten.
        """
        request = self._idle.get()
        try:
            request.infer({0: np.ascontiguousarray(image)[None]}, share_inputs=True)
            f_map = request.get_output_tensor(FEATURES)
            values = f_map.data
            if f_map.element_type == openvino().Type.bf16:
                values = values.view(np.uint16)
            yield values[0], request.get_output_tensor(PROPOSALS).data[0]
        finally:
            self._idle.put(request)


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
