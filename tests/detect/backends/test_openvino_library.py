"""OpenVINO is loaded such that several threads can be the first to use it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from muse_core.detect.backends.openvino_library import is_installed

FIRST_USE_IN_MANY_THREADS = """
import sys, threading
from muse_core.detect.backends.openvino_library import openvino
library, going = openvino(), threading.Event()
def first_use():
    while not going.is_set():
        pass
    library.Type.u8.to_dtype()
threads = [threading.Thread(target=first_use, daemon=True) for _ in range(16)]
sys.setswitchinterval(1e-6)
for thread in threads:
    thread.start()
going.set()
for thread in threads:
    thread.join()
"""


@pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed")
def test_several_threads_can_be_the_first_to_use_it() -> None:
    # OpenVINO alone stood still here each time.
    subprocess.run([sys.executable, "-c", FIRST_USE_IN_MANY_THREADS], check=True, timeout=120)
