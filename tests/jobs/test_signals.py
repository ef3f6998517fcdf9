from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from muse_core.jobs.signals import STOP_SIGNALS, on_stop_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
# Writes to its terminal until it is asked to stop, then continues to the end.
TALK = """
import sys, time
from pathlib import Path
from muse_core.jobs.signals import on_stop_signals
asked = []
with on_stop_signals(asked.append):
    while not asked:
        print("ready", flush=True)
        time.sleep(0.01)
    print("ending"), sys.stderr.write("ending"), sys.stdout.flush()
Path(sys.argv[1]).write_text(str(asked[0]))
"""


@pytest.fixture(autouse=True)
def _started_in_a_terminal() -> Iterator[None]:
    """Restore the default handling of hang-ups, which are ignored if the tests run under nohup."""
    old = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, old)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_each_is_heard_and_forgotten_afterwards(number: signal.Signals) -> None:
    heard: list[int] = []
    before = signal.getsignal(number)
    with on_stop_signals(heard.append):
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert heard == [number, number]
    assert signal.getsignal(number) == before


def test_a_request_that_was_lost_before_counts() -> None:
    heard: list[int] = []

    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    with on_stop_signals(interrupt):
        # Like libraries that call back from C, or catch everything an import raises.
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGTERM)
        with on_stop_signals(heard.append):
            assert heard == [signal.SIGTERM]
    with on_stop_signals(heard.append):
        assert heard == [signal.SIGTERM], "another run has nothing to do with it"


def test_what_is_ignored_stays_ignored_but_for_ctrl_c() -> None:
    heard: list[int] = []
    old = [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGHUP, signal.SIGINT)]
    try:
        with on_stop_signals(heard.append):
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGHUP, old[0])
        signal.signal(signal.SIGINT, old[1])
    assert heard == [signal.SIGINT]


def test_a_program_outlives_its_terminal(tmp_path: Path) -> None:
    import pty

    result = tmp_path / "result"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", TALK, str(result)])
    assert b"ready" in os.read(terminal, 100)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert result.read_text() == str(int(signal.SIGHUP))


def test_nohup_works(tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["nohup", sys.executable, "-c", TALK, tmp_path / "result"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert b"ready" in process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    for _ in range(20):
        assert b"ready" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert (tmp_path / "result").read_text() == str(int(signal.SIGTERM))
