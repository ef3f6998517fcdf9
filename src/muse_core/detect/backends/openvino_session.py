"""A converted network, loaded into OpenVINO. Importing this module loads neither it nor torch."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from muse_core.detect.backends.map_features import Values
from muse_core.detect.backends.openvino_library import floats_of, openvino
from muse_core.detect.backends.tile_size import STREAMS
from muse_core.processor import usable_cores

PROPOSALS = 0
"""The output (1, 3 r r, h, w) of a converted network; maps (1, C_i, h_i, w_i) follow."""
_CODE_KEPT = 2048
"""Compiled layers that OpenVINO caches: those of about 45 tile sizes, at 6 MB a size. With half of
them muse-small took half as long again on tissue of ragged outline. With its default of 5,000,
memory grew with each new size and stayed taken between slides."""
_FULL = ("alloc", "out of memory", "not enough memory")
"""Parts of errors for lack of memory, of OpenVINO and torch."""
_HINTS = {"float32": "f32", "bfloat16": "bf16"}

Outputs = tuple[list[Values], npt.NDArray[np.float32]]


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
        # A thread pinned to a core would wait for other programs that run on it.
        "ENABLE_CPU_PINNING": False,
        "CPU_RUNTIME_CACHE_CAPACITY": _CODE_KEPT,
    }


def says_memory_is_full(error: RuntimeError) -> bool:
    """Whether OpenVINO or torch failed for lack of memory."""
    return any(words in str(error).lower() for words in _FULL)


def says_threads_are_short(error: RuntimeError) -> bool:
    """Whether OpenVINO failed because the system starts no more threads."""
    return os.strerror(errno.EAGAIN) in str(error)


@dataclass
class _Network:
    """A network in OpenVINO: requests that are idle, and the first error of any."""

    idle: SimpleQueue[Any]
    failure: RuntimeError | None = None


class Session:
    """A network that computes some images at a time; safe to use from several threads.

    Attributes:
        streams: Images computed at a time; whoever brings more waits.
    """

    def __init__(self, blob: bytes, precision: str) -> None:
        """Load what the conversion exported; raises RuntimeError where OpenVINO refuses it."""
        self._blob, self._options = blob, compile_options(precision)
        self.streams = int(self._options["NUM_STREAMS"])
        self._lock = threading.Lock()
        self._network = self._load()

    @contextmanager
    def computed(self, image: npt.NDArray[np.uint8]) -> Iterator[Outputs]:
        """Compute one image.

        Args:
            image: (H, W, 3) uint8, sides multiples of 32.

        Returns:
            A context with the maps (C_i, h_i, w_i), float32, or bfloat16's bits as uint16, and the
            (3 r r, h, w) float32 output of the point head; see
            :class:`~muse_core.detect.backends.converted_network.ConvertedNetwork`. After it all
            are overwritten.

        Raises:
            MemoryError: Memory ran out.
            RuntimeError: OpenVINO failed otherwise.
        """
        with _memory_errors():
            network = self._usable()
            request = network.idle.get()
        try:
            with _memory_errors():
                self._run(network, request, image)
                out, *maps = (tensor for tensor in request.output_tensors)
                as_bits = openvino().Type.bf16
            yield [_values(tensor, as_bits) for tensor in maps], out.data[0]
        finally:
            network.idle.put(request)

    def _run(self, network: _Network, request: Any, image: npt.NDArray[np.uint8]) -> None:
        shared = np.ascontiguousarray(image)[None]
        try:
            # infer() passes over errors, and leaves the result of an earlier image in its place.
            request.start_async({0: shared}, share_inputs=True)
            request.wait()
        except RuntimeError as error:
            network.failure = network.failure or error
            raise
        if network.failure is not None:
            # Another image failed, and this one may have been computed with what that left behind.
            raise RuntimeError(str(network.failure)) from network.failure

    def _usable(self) -> _Network:
        """The network, loaded again after an error: it stays half resized, its results wrong."""
        with self._lock:
            if self._network.failure is not None:
                self._network = self._load()
            return self._network

    def _load(self) -> _Network:
        model = openvino().Core().import_model(self._blob, "CPU", self._options)
        idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.streams):
            idle.put(model.create_infer_request())
        return _Network(idle)


def _values(tensor: Any, as_bits: Any) -> Values:
    """The first image's values of a tensor; those of the type ``as_bits`` as uint16."""
    values: Values = tensor.data[0]
    return values.view(np.uint16) if tensor.element_type == as_bits else values


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Raise MemoryError instead of the RuntimeError of OpenVINO that means it."""
    try:
        yield
    except RuntimeError as error:
        if says_memory_is_full(error):
            raise MemoryError(str(error)) from error
        raise


def _threads() -> int:
    """Return the number of threads of numerical libraries; see muse_core.jobs.processor."""
    try:
        wanted = int(os.environ.get("OMP_NUM_THREADS", ""))
    except ValueError:
        wanted = 0
    return wanted if wanted > 0 else usable_cores()
