"""Class logits of a folder of features, cached beside them. Imports no torch.

The class head takes seconds for a million nuclei, and its logits never change. So they are computed
once, after a detection, and then read. The file holds the logits of the first n rows; it
is truncated when these are overwritten, and missing rows are computed on demand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muse_core.classify.class_head import NumpyClassHead
from muse_core.classify.feature_folder import LOGIT_BYTES, LOGITS, FeatureFolder, open_features
from muse_core.errors import UserError
from muse_core.files import locked


def kept_logits(folder: FeatureFolder, head: NumpyClassHead) -> npt.NDArray[np.float32]:
    """Return (N, K) float32 logits of all rows; missing ones are computed and kept.

    Where the folder cannot be written, they are computed every time.

    Args:
        folder: Features.
        head: Class head of the model that they are of.
    """
    there = _stored(folder)
    if len(there) == len(folder):
        return there
    rest = head.logits(folder.features, len(there))
    _append(folder, len(there), rest)
    return np.concatenate([there, rest])


def _stored(folder: FeatureFolder) -> npt.NDArray[np.float32]:
    """(n, K) logits of the first n rows, as far as the file has them."""
    n_classes = len(folder.facts.class_names)
    path = folder.path / LOGITS
    try:
        rows = min(path.stat().st_size // (n_classes * LOGIT_BYTES), len(folder))
        if rows:
            logits = np.fromfile(path, np.float32, rows * n_classes)
            return logits[: len(logits) // n_classes * n_classes].reshape(-1, n_classes)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return np.zeros((0, n_classes), np.float32)


def _append(folder: FeatureFolder, known: int, logits: npt.NDArray[np.float32]) -> None:
    """Append logits to the known ones, unless the folder has been replaced meanwhile."""
    try:
        with locked(folder.path):
            now = open_features(folder.path)
            if (
                now.facts != folder.facts
                or not np.array_equal(now.places[known : len(folder)], folder.places[known:])
                or len(_stored(now)) != known
            ):
                return
            path, end = folder.path / LOGITS, known * logits.shape[1] * LOGIT_BYTES
            with path.open("ab") as file:
                if file.tell() > end:
                    file.truncate(end)
                file.write(logits.tobytes())
    except (UserError, OSError):
        # Full, read-only or in use; rows that came to be written are right.
        return
