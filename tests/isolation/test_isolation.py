"""Real processes that crash, hang, fill the memory, print too much, or do their work."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from muse_core.errors import UserError
from muse_core.isolation import CancelledError, Limits, run_isolated

# High limits, so that only the one under test is reached on a busy machine.
ROOMY = Limits(cpu_s=60, wall_s=600, memory_bytes=4 << 30)


class Worker:
    """Runs a function body as the task of a process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.at_start = ""

    def __call__(
        self, body: str, limits: Limits = ROOMY, task: dict[str, Any] | None = None, **more: Any
    ) -> bytes:
        lines = textwrap.indent(textwrap.dedent(body), "    ")
        (self._folder / "odd_worker.py").write_text(
            "import faulthandler, os, sys, time\n"
            f"{self.at_start}\n"
            "from muse_core.errors import UserError\n"
            "from muse_core.isolation.child import serve\n"
            f"def work(task):\n{lines}\n"
            "if __name__ == '__main__':\n    serve(work)\n",
            encoding="utf-8",
        )
        return bytes(run_isolated("odd_worker", task or {}, limits, "a.bin", **more))


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.syspath_prepend(str(tmp_path))
    paths = [str(tmp_path), *(p for p in sys.path if p)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return Worker(tmp_path)


def test_what_the_work_returns_comes_back_whatever_it_prints(worker: Worker) -> None:
    body = """
    print("noise", flush=True)
    os.write(1, b"noise from C\\n")
    os.write(2, b"x" * 1_000_000)
    return bytes(range(256)) * task["n"]
    """
    assert worker(body, task={"n": 20_000}) == bytes(range(256)) * 20_000


def test_a_refusal_is_handed_on_word_for_word(worker: Worker) -> None:
    with pytest.raises(UserError, match=r"^It holds µ\.$"):
        worker('raise UserError("It holds µ.")')


@pytest.mark.parametrize(
    "body", ["os.abort()", "faulthandler._sigsegv()", "os._exit(3)", "os.kill(os.getpid(), 15)"]
)
def test_a_crash_is_a_sentence(worker: Worker, body: str) -> None:
    with pytest.raises(UserError, match=r"^a\.bin is damaged: .*crashed on it\.$"):
        worker(body)


@pytest.mark.skipif(sys.platform != "win32", reason="elsewhere no window asks")
def test_a_crash_opens_no_window(worker: Worker) -> None:
    assert worker("import msvcrt\nreturn bytes([msvcrt.GetErrorMode() & 3])") == b"\3"


def test_an_error_of_a_library_is_a_sentence(worker: Worker) -> None:
    with pytest.raises(UserError, match=r"^a\.bin is damaged .*: KeyError: 'x'\.$"):
        worker("raise KeyError('x')")
    with pytest.raises(UserError, match=r"^a\.bin is damaged .*: ValueError\.$"):
        worker("raise ValueError")


def test_running_in_circles_ends_after_the_processor_time(worker: Worker) -> None:
    body = """
    while True:
        pass
    """
    with pytest.raises(UserError, match=r"^a\.bin .* stopped after 1 seconds of computing\.$"):
        worker(body, Limits(1, 600, 1 << 30))


def test_loading_libraries_on_a_slow_machine_does_not_count(worker: Worker) -> None:
    worker.at_start = "while time.process_time() < 3: pass"
    assert worker("return b'read'", Limits(1.5, 600, 1 << 30)) == b"read"


def test_code_that_never_lets_go_of_the_interpreter_ends_too(worker: Worker) -> None:
    with pytest.raises(UserError, match="stopped after"):
        worker("return b'' if sum(iter(int, 1)) else b''", Limits(1, 600, 1 << 30))


def test_waiting_for_ever_ends_after_the_time(worker: Worker) -> None:
    with pytest.raises(UserError, match="stopped after"):
        worker("time.sleep(10_000)", Limits(60, 2, 1 << 30))


@pytest.mark.parametrize(
    "body",
    ["return bytes(8 << 30)", "x = [b'']\nwhile True:\n    x.append(bytes(1 << 22) + b'1')"],
)
def test_filling_the_memory_is_a_sentence(worker: Worker, body: str) -> None:
    with pytest.raises(UserError, match=r"^a\.bin .* more than 0\.3 GB of memory\.$"):
        worker(body, Limits(60, 600, 300_000_000))


def test_the_parents_watch_alone_stops_what_fills_the_memory(worker: Worker) -> None:
    body = """
    import resource
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    x = []
    while True:
        x.append(bytes(1 << 22) + b'1')
        time.sleep(0.001)
    """
    with pytest.raises(UserError, match="of memory"):
        worker(body, Limits(60, 600, 100_000_000))


@pytest.mark.skipif(sys.platform != "linux", reason="children end with their parent as on Linux")
@pytest.mark.parametrize(
    ("body", "limits", "said"),
    [
        ("while True:\n    pass", Limits(1, 600, 1 << 30), "stopped after 1 seconds"),
        ("x = []\nwhile True:\n    x.append(bytes(1 << 16) + b'1')\n    time.sleep(1e-4)",
         Limits(60, 600, 100_000_000), "of memory"),
    ],
)  # fmt: skip
def test_limits_hold_where_another_program_starts_python(
    worker: Worker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    limits: Limits,
    said: str,
) -> None:
    """As in virtual environments on Windows, where the system limits nothing."""
    launcher = tmp_path / "python"
    launcher.write_text(
        f"#!{sys.executable}\n"
        "import ctypes, subprocess, sys\n"
        "die_with_parent = lambda: ctypes.CDLL(None).prctl(1, 9)\n"
        f"command = [{sys.executable!r}, *sys.argv[1:]]\n"
        "sys.exit(subprocess.call(command, preexec_fn=die_with_parent))\n"
    )
    launcher.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(launcher))
    worker.at_start = "import resource; resource.setrlimit = lambda *_: None"
    assert worker("return b'read'") == b"read"
    with pytest.raises(UserError, match=said):
        worker(body, limits)


def test_it_can_be_cancelled(worker: Worker, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    body = """
    open(task["mark"], "w").write(str(os.getpid()))
    os.rename(task["mark"], task["mark"] + "ed")
    time.sleep(10_000)
    """
    done = mark.with_name("marked")
    with pytest.raises(CancelledError, match="cancelled"):
        worker(body, task={"mark": str(mark)}, should_cancel=done.exists)
    assert not psutil.pid_exists(int(done.read_text()))


def test_nothing_is_left_when_the_one_who_asked_is_killed(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        worker("raise UserError('made the module')")
    mark = tmp_path / "mark"
    (tmp_path / "odd_worker.py").write_text(
        "import os, time\n"
        "from muse_core.isolation.child import serve\n"
        "def work(task):\n"
        "    open(task['mark'], 'w').write(str(os.getpid()))\n"
        "    os.rename(task['mark'], task['mark'] + 'ed')\n"
        "    time.sleep(10_000)\n"
        "serve(work)\n"
    )
    code = (
        "from muse_core.isolation import *\n"
        f"run_isolated('odd_worker', {{'mark': {str(mark)!r}}}, Limits(99, 999, 1 << 30), 'a')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    done = mark.with_name("marked")
    while not done.exists():
        time.sleep(0.05)
    child = psutil.Process(int(done.read_text()))
    parent.kill()
    parent.wait()
    child.wait(timeout=60)


def test_a_module_in_the_working_folder_is_not_taken_for_a_library(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "psutil.py").write_text("raise SystemExit(5)")
    monkeypatch.chdir(elsewhere)
    assert worker("return b'1'") == b"1"


def test_a_file_is_not_blamed_for_a_process_that_did_not_start() -> None:
    with pytest.raises(
        UserError, match=r"^a\.bin was not read: the process .* ended before it began\.$"
    ):
        run_isolated("no_module_of_this_name", {}, Limits(99, 999, 1 << 30), "a.bin")


def test_limits_grow_with_the_file() -> None:
    small, large = Limits.for_size(36_000), Limits.for_size(300_000_000)
    assert 5 <= small.cpu_s <= 15
    assert large.cpu_s > 500
    assert small.memory_bytes <= large.memory_bytes <= psutil.virtual_memory().total
    assert large.wall_s > large.cpu_s
