"""Run scripts like ``python SCRIPT ...``, but in this process, where torch is loaded already."""

from __future__ import annotations

import runpy
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest


def run_script(path: Path, *arguments: object) -> str:
    """Return the script's output; it imports from its own folder, as in python.

    Raises:
        SystemExit: The script ends in an error.
    """
    said = StringIO()
    loaded = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        patch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        patch.setattr(sys, "path", [str(path.parent), *sys.path])
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise
        finally:
            _forget(path.parent, loaded)
    return said.getvalue()


def _forget(folder: Path, loaded: set[str]) -> None:
    """Scripts of other folders may have modules of the same names."""
    for name in set(sys.modules) - loaded:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).parent == folder:
            del sys.modules[name]
