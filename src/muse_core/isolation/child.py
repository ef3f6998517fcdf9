"""The child process, which works under limits.

It reads one line of JSON from stdin. As it begins, it writes a line with its process id, then one
line of JSON with the outcome, followed by the bytes of the result.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from muse_core.errors import UserError
from muse_core.isolation.limits import Limits
from muse_core.isolation.streams import claim_stdin, claim_stdout

if sys.platform == "win32":
    import msvcrt

_REASON_SHOWN = 160


def serve(work: Callable[[dict[str, Any]], bytes | memoryview]) -> None:
    """Do the work that stdin describes; the program ends with it.

    Args:
        work: Task, as given to :func:`run_isolated`, to the bytes that it returns.
    """
    # Ctrl-C goes to every process of the terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    _crash_silently()
    out = claim_stdout()
    given = claim_stdin()
    request = json.loads(given.readline())
    threading.Thread(target=_end_with_parent, args=(given,), daemon=True).start()
    Limits(**request["limits"]).restrict_this_process()
    out.write(b"%d\n" % os.getpid())
    out.flush()
    payload: bytes | memoryview = b""
    try:
        payload = work(request["task"])
        outcome: dict[str, object] = {"kind": "done"}
    except UserError as error:
        outcome = {"kind": "refused", "message": str(error)}
    except MemoryError:
        outcome = {"kind": "memory"}
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        outcome = {"kind": "failed", "message": text[:_REASON_SHOWN].rstrip(".: ")}
    out.write(json.dumps(outcome).encode() + b"\n")
    out.write(payload)
    out.flush()
    # Without the libraries' exit handlers, which a damaged file may have broken.
    os._exit(0)


def _crash_silently() -> None:
    """Let a crash end this process at once: Windows would ask the user first, in a window."""
    if sys.platform == "win32":
        msvcrt.SetErrorMode(msvcrt.SEM_FAILCRITICALERRORS | msvcrt.SEM_NOGPFAULTERRORBOX)


def _end_with_parent(given: BinaryIO) -> None:
    """End this process when its input ends, because the parent has ended then."""
    while True:
        try:
            if not os.read(given.fileno(), 1024):
                break
        except OSError:
            break
    os._exit(1)
