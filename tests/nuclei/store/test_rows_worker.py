from __future__ import annotations

import subprocess
import sys


def test_it_starts_without_what_it_does_not_need() -> None:
    code = (
        "import sys, muse_core.nuclei.store.rows_worker\n"
        "sys.exit(bool({'scipy', 'torch', 'tifffile'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
