"""Weights of a model file as NumPy arrays. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from muse_core.errors import UserError


def read_weights(path: Path, names: Iterable[str]) -> list[npt.NDArray[np.float32]]:
    """Read tensors of a model file as float32, in the order of their names.

    Raises:
        UserError: The file is damaged, or lacks one of them.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return [np.asarray(file.get_tensor(name), np.float32) for name in names]
    except (SafetensorError, OSError, KeyError, TypeError) as error:
        raise UserError(f"{path.name} is damaged: {error}.") from error
