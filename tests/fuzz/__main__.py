"""Repeat one case, in this process: ``python -m tests.fuzz svs:1234 [FOLDER]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from .case import ROOMS, Samples, targets_in


def main() -> None:
    """Run one case; the damaged file stays in the folder."""
    name, _, number = sys.argv[1].partition(":")
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp())
    for room in ROOMS:
        target = targets_in(room).get(name)
        if target is not None:
            samples = Samples(name, target, folder)
            samples.damage(int(number))
            sys.stdout.write(f"{samples.path}\n")
            sys.stdout.write(f"{target.read(samples.path)}\n")
            return
    raise SystemExit(f"There is no target {name}.")


if __name__ == "__main__":
    main()
