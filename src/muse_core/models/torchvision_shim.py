"""Makes timm importable where torch and torchvision come from different builds.

A CPU build of torch beside a CUDA build of torchvision (what mixing package indexes gives) makes
``import torchvision``, and with it ``import timm``, fail with "operator torchvision::nms does not
exist". The project uses none of torchvision's compiled operators, so declaring their schemas is
enough for the import to succeed.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = ("nms", "qnms")
_LIBRARIES: list[torch.library.Library] = []


def declare_missing_operators() -> bool:
    """Declare ``torchvision::nms`` and ``qnms`` when torchvision's own library does not load.

    Call before the first import of timm. Does nothing where torchvision is whole or absent.

    Returns:
        Whether the schemas had to be declared.
    """
    if _LIBRARIES or _compiled_library_loads():
        return False
    # Kept alive in a list: a Library that is collected takes its declarations with it.
    library = torch.library.Library("torchvision", "FRAGMENT")
    _LIBRARIES.append(library)
    for name in _SCHEMAS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return True


def _compiled_library_loads() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    folder = Path(spec.origin).parent
    libraries = [p for pattern in ("_C.*so", "_C.*pyd") for p in folder.glob(pattern)]
    if not libraries:
        return False
    try:
        torch.ops.load_library(str(libraries[0]))
    except (OSError, RuntimeError):
        return False
    return hasattr(torch.ops.torchvision, "nms")
