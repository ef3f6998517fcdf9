"""Makes timm importable where torch and torchvision come from different builds.

A CPU build of torch beside a CUDA build of torchvision (what mixing package indexes gives) makes
``import torchvision``, and with it ``import timm``, fail with "operator torchvision::nms does not
exist". The project uses none of torchvision's compiled operators, so declaring their schemas is
enough for the import to succeed.
"""

from __future__ import annotations

import importlib
import sys

import torch

_SCHEMAS = ("nms", "qnms")
_LIBRARIES: list[torch.library.Library] = []


def declare_missing_operators() -> bool:
    """Declare ``torchvision::nms`` and ``qnms`` where torchvision cannot be imported without them.

    Call before the first import of timm. Nothing is declared before torchvision itself has been
    tried, under whatever name its library lies: a library that loads afterwards would declare them
    again, and the process ends.

    Returns:
        Whether the schemas had to be declared.
    """
    if _LIBRARIES:
        return False
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return False  # It is not installed, and timm says so.
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    else:
        return False
    # Kept alive in a list: a Library that is collected takes its declarations with it.
    library = torch.library.Library("torchvision", "FRAGMENT")
    _LIBRARIES.append(library)
    for name in _SCHEMAS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return True
