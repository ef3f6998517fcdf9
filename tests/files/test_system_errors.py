from __future__ import annotations

import errno
import os

import pytest

from muse_core.files import system_sentence


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EINVAL, errno.EMFILE])
def test_what_the_system_refuses_of_a_file_is_a_sentence(number: int) -> None:
    reason = os.strerror(number)
    assert system_sentence(OSError(number, reason, "a?.svs")) == f"Cannot use a?.svs: {reason}."
    assert not system_sentence(OSError(number, reason))


def test_other_errors_are_none() -> None:
    assert not system_sentence(OSError(errno.ECHILD, "x", "a.svs"))
    assert not system_sentence(ValueError("x"))
