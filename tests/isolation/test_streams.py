from __future__ import annotations

import subprocess
import sys

WAITING = """
import os, sys, threading
from muse_core.isolation.streams import claim_stdin

given = claim_stdin()
print(given.readline(), flush=True)
threading.Thread(target=os.read, args=(given.fileno(), 1), daemon=True).start()
assert os.read(0, 1) == b""
assert os.fstat(0)
import scipy.linalg, scipy.special
print("loaded", flush=True)
os._exit(0)
"""


def test_libraries_are_loaded_while_a_thread_waits_for_input() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("one line\n")
        process.stdin.flush()
        assert process.stdout.readline() == "b'one line\\n'\n"
        assert process.stdout.readline() == "loaded\n"
        assert process.wait() == 0
