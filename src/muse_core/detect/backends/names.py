"""The names a backend may be chosen by."""

from __future__ import annotations

AUTO, TORCH, OPENVINO = "auto", "torch", "openvino"
BACKENDS = (AUTO, TORCH, OPENVINO)
