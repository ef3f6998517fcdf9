"""The synthetic weights and input for the stored outputs of the original network."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def synthetic_tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    """The value of one checkpoint entry, drawn from its name."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    n = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("running_mean"):
        value = 0.1 * n
    elif key.endswith("running_var"):
        value = 0.5 + np.abs(n)
    elif key.endswith(("pos_embed", "cls_token")):
        value = 0.02 * n
    elif key.endswith("bias"):
        value = 0.1 * n
    elif len(shape) == 1:
        value = 1 + 0.1 * n
    else:
        value = n / np.float32(math.sqrt(math.prod(shape[1:])))
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def synthetic_checkpoint(keys_file: Path) -> dict[str, Tensor]:
    """The backbone entries of a released checkpoint, as under ``teacher``."""
    keys = json.loads(keys_file.read_text())
    return {key: synthetic_tensor(key, tuple(shape)) for key, shape in keys}


def synthetic_image(size_px: int) -> Tensor:
    """(1, 3, size, size) float32, as it goes into the network, normalised or not."""
    y, x = np.mgrid[:size_px, :size_px].astype(np.float64)
    channels = [
        np.sin(0.05 * x * (k + 1) + 0.03 * y) + np.cos(0.04 * y * (k + 1) - 0.02 * x)
        for k in range(3)
    ]
    return torch.from_numpy(np.stack(channels)[None].astype(np.float32))
