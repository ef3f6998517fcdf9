from __future__ import annotations

import subprocess
import sys


def test_the_plugin_is_ready_without_torch() -> None:
    code = (
        "import sys, napari_muse.panels.muse_panel, napari_muse.io.reader, napari_muse.io.writer;"
        "from muse_core.models.registry import list_models; list_models();"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
