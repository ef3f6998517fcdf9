"""Running a command in this process."""

from __future__ import annotations

import pytest

from muse_core.cli import main


def run(*arguments: object) -> int:
    """Exit code of ``muse ARGUMENTS``."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    assert isinstance(end.value.code, int)
    return end.value.code
