"""timm and the networks can be imported whatever torchvision is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
WHOLE = f"""
import torch
own = torch.library.Library("torchvision", "DEF")
own.define("nms{NMS}")
torch.library.register_fake("torchvision::nms")(lambda *a: a)
"""
"""A package whose library declares its operators, as the compiled one does."""
OF_ANOTHER_BUILD = """
import torch
torch.library.register_fake("torchvision::nms")(lambda *a: a)
"""
"""One whose library has not been loaded: the import fails without the operator."""


def run(code: str, *first: Path) -> str:
    path = os.pathsep.join([*map(str, first), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", code]
    environment = os.environ | ({"PYTHONPATH": path} if path else {})
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_timm_imports_whatever_torchvision_is_installed() -> None:
    code = "import muse_core.models.encoders, timm; print(timm.is_model('resnet10t'))"
    assert run(code) == "True"


@pytest.mark.parametrize(
    ("content", "declared"),
    [(WHOLE, False), (OF_ANOTHER_BUILD, True)],
    ids=["whole", "other build"],
)
def test_operators_are_declared_only_where_they_are_missing(
    tmp_path: Path, content: str, declared: bool
) -> None:
    """Declaring them before the library does, under whatever name it lies, ends the process."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(content)
    code = (
        "from muse_core.models.torchvision_shim import declare_missing_operators as declare\n"
        "print(declare(), declare())\n"
        "import torchvision\n"
    )
    assert run(code, tmp_path) == f"{declared} False"


def test_without_torchvision_nothing_is_declared(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text("raise ImportError('none')")
    code = (
        "from muse_core.models.torchvision_shim import declare_missing_operators as declare\n"
        "print(declare())\n"
    )
    assert run(code, tmp_path) == "False"
