"""Choosing a device and its precision."""

from __future__ import annotations

from functools import cache

import torch

from muse_core.errors import UserError
from muse_core.models.device_names import DEVICES
from muse_core.models.sampling import sample_at_points
from muse_core.processor import emulates_bfloat16


def choose_device(name: str = "auto", gradients: bool = False) -> torch.device:
    """Device by name; auto takes CUDA, then Apple MPS, then the CPU.

    Args:
        name: One of :data:`DEVICES`.
        gradients: Whether it must compute these too.

    Raises:
        UserError: The name is unknown, or this machine or this build of torch lacks the device or,
            on MPS, what the models compute.
    """
    if name not in DEVICES:
        raise UserError(f"Unknown device {name!r}; choose from {', '.join(DEVICES)}.")
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available() and samples_features("mps", gradients),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(d for d, there in available.items() if there))
    if not available[name]:
        usable = ", ".join(d for d, there in available.items() if there)
        if name == "mps" and torch.backends.mps.is_available():
            raise UserError(
                f"torch {torch.__version__} cannot compute the models on the device 'mps'; install"
                f" the newest torch, or choose from {usable}."
            )
        raise UserError(f"The device {name!r} is not available here; usable: {usable}.")
    return torch.device(name)


@cache
def samples_features(device_type: str, gradients: bool) -> bool:
    """Whether a device samples features at nuclei, and if asked for, their gradients.

    MPS has grid_sample with borders since about torch 2.10, and its gradient since about 2.13.
    """
    try:
        with torch.inference_mode(False), torch.enable_grad():
            f_map = torch.zeros(1, 1, 2, 2, device=device_type, requires_grad=True)
            xy = torch.ones(1, 1, 2, device=device_type)
            total = sample_at_points(f_map, xy, (2, 2)).sum()
            if gradients:
                total.backward()
    except RuntimeError:
        return False
    return True


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether a device has bfloat16 arithmetic; emulated, it is far slower than float32."""
    if device.type == "cuda":
        result: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return result
    if device.type == "cpu" and torch.backends.mkldnn.is_available():
        supported = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        return supported and not emulates_bfloat16()
    return False


def autocast_for(device: torch.device) -> torch.autocast:
    """Autocast for inference: to bfloat16 where that pays, to float16 on older CUDA cards."""
    if device.type == "cuda" and not computes_in_bfloat16(device):
        return torch.autocast("cuda", dtype=torch.float16)
    return training_autocast_for(device)


def training_autocast_for(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 where that pays; never to float16, whose gradients vanish."""
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bfloat16(device))
