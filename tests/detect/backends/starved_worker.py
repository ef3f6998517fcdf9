"""Computes images with a converted model before, during and after a lack of memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from muse_core.detect.backends.converted import converted_session

NOISE = np.random.default_rng(0)
ONE, OTHER, LARGE = (NOISE.integers(0, 255, (s, s, 3), np.uint8) for s in (256, 256, 2048))
LEFT_BYTES = 16 << 20


def main() -> None:
    session = converted_session(Path(sys.argv[1]), "float32")

    def result(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
        try:
            with session.computed(image) as (_, out):
                return out.copy()
        except (MemoryError, RuntimeError):
            # RuntimeError: not even a thread can be started.
            return None

    expected = [result(image) for image in (ONE, OTHER)]
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + LEFT_BYTES, most))
    assert result(LARGE) is None
    for image, whole in zip((ONE, OTHER), expected, strict=True):
        answer = result(image)
        assert answer is None or (whole is not None and np.array_equal(answer, whole)), (
            "the result of another image"
        )
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    for image, whole in zip((ONE, OTHER), expected, strict=True):
        again = result(image)
        assert again is not None
        assert whole is not None
        assert np.array_equal(again, whole), "left half resized"
    print("as it should be")


if __name__ == "__main__":
    main()
