"""The names a backend may be chosen by."""

from __future__ import annotations

from typing import Literal, get_args

AUTO, TORCH, OPENVINO = "auto", "torch", "openvino"
BACKENDS = (AUTO, TORCH, OPENVINO)

INT8 = "int8"
PrecisionName = Literal["auto", "float32", "int8"]
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)
"""What a network computes in: auto takes bfloat16 or float16 where the device is faster with it."""
