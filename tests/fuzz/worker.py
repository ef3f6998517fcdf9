"""``python -m tests.fuzz.worker FOLDER ROOM``: runs the cases that stdin lists, in order.

Stdin has lines of a target, its first case and the one after its last. A line is written before
each case, and one after it if it failed.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
import tempfile
import warnings
from pathlib import Path

from .case import Samples, targets_in

_BYTES = 4 << 30


def main(arguments: list[str]) -> None:
    """Run the cases."""
    scratch, room = arguments
    plan = [line.split() for line in sys.stdin]
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable()
    tempfile.tempdir = scratch
    say = sys.stdout
    sys.stdout = sys.stderr
    for at, (name, first, end) in enumerate(plan):
        samples = Samples(name, targets_in(room)[name], Path(scratch))
        if at == 0:
            _limit_memory()
        for number in range(int(first), int(end)):
            say.write(f"case {name}:{number}\n")
            say.flush()
            wrong = samples.run(number)
            if wrong:
                say.write("wrong " + wrong.replace("\n", " ") + "\n")
    say.write("end\n")
    say.flush()


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    import psutil

    most = psutil.Process().memory_info().vms + _BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(sys.argv[1:])
