from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator

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


@pytest.fixture
def immense_threads() -> Iterator[None]:
    """Threads whose stack is half of all addresses, which are refused as those beyond a limit."""
    before = threading.stack_size(1 << 46)
    yield
    threading.stack_size(before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere large stacks are refused at once")
@pytest.mark.usefixtures("immense_threads")
def test_where_no_thread_can_be_started_a_sentence_names_the_limit() -> None:
    with pytest.raises(RuntimeError) as caught:
        threading.Thread(target=print).start()
    assert "ulimit -u" in system_sentence(caught.value)
    assert not system_sentence(RuntimeError("x"))


def test_threads_that_libraries_are_refused_are_named_too() -> None:
    words = f"Failed to launch worker thread: {os.strerror(errno.EAGAIN)}"
    assert "ulimit -u" in system_sentence(RuntimeError(words))
    assert not system_sentence(BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError(f"can't allocate memory: error code 12 ({os.strerror(errno.ENOMEM)})"),
    ],
)
def test_where_memory_is_refused_a_sentence_says_so(error: Exception) -> None:
    assert system_sentence(error).startswith("There is not enough memory")


def test_a_module_that_is_not_there_is_not_for_want_of_memory() -> None:
    assert not system_sentence(ModuleNotFoundError("No module named 'torch'"))
