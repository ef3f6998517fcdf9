"""Warm up a process for a detection before it gets the job."""

from __future__ import annotations

import contextlib

_SIDE_PX = 256


def make_ready(model: str, device: str, precision: str) -> None:
    """Load what a detection needs and compute a small tile; errors are left for the job to report.

    Args:
        model: Name or path of the model that is likely to be asked for.
        device: auto, cpu, cuda or mps.
        precision: auto, float32 or int8.
    """
    with contextlib.suppress(Exception):
        import numpy as np

        import muse_core.detect.detector
        import muse_core.jobs.detect_job  # noqa: F401
        from muse_core.detect.backends.backend import Wanted
        from muse_core.detect.backends.kept import kept_backend
        from muse_core.detect.config import DetectConfig
        from muse_core.models.registry import resolve_model

        config = DetectConfig(device=device, precision=precision)
        backend = kept_backend(resolve_model(model), config)
        backend.run([np.full((_SIDE_PX, _SIDE_PX, 3), 255, np.uint8)], Wanted(0.5))
