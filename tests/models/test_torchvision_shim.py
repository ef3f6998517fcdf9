from __future__ import annotations

import subprocess
import sys


def test_timm_imports_whatever_torchvision_is_installed() -> None:
    code = "import muse_core.models.encoders, timm; print(timm.is_model('resnet10t'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "True", done.stderr
