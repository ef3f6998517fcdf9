"""The names a backend may be chosen by."""

from __future__ import annotations

AUTO, TORCH, OPENVINO = "auto", "torch", "openvino"
BACKENDS = (AUTO, TORCH, OPENVINO)

INT8 = "int8"
PRECISIONS = (AUTO, "float32", INT8)
"""What a network computes in: auto takes bfloat16 or float16 where the device is faster with it."""
