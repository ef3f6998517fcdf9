"""Keep the backend of the last job loaded for the next one in the same process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from muse_core.detect.backends.backend import InferenceBackend
from muse_core.detect.backends.choosing import open_backend
from muse_core.detect.config import DetectConfig
from muse_core.errors import cannot


def kept_backend(path: Path, config: DetectConfig) -> InferenceBackend:
    """Like :func:`open_backend`, but reuses the last call's backend for the same file and settings.

    Raises:
        UserError: See :func:`open_backend`.
    """
    try:
        facts = path.stat()
    except OSError as error:
        raise cannot("read", path, error) from error
    asked = DetectConfig(
        device=config.device,
        batch=config.batch,
        backend=config.backend,
        precision=config.precision,
    )
    return _opened(path.resolve(), (facts.st_mtime_ns, facts.st_size), asked)


@lru_cache(maxsize=1)
def _opened(path: Path, stamp: tuple[int, int], config: DetectConfig) -> InferenceBackend:
    return open_backend(path, config)
