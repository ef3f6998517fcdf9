"""Many cases, in processes that are restarted when one dies or hangs."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from .case import targets_in

_REPOSITORY = Path(__file__).resolve().parents[2]
_CPU_S = 20.0
"""CPU seconds after which a case counts as hanging; independent of the load on the machine."""
_POLL_S = 0.5
_LOG_CHARACTERS = 3000


@dataclass(frozen=True)
class Cases:
    """Cases of one target, numbered from ``first`` to before ``end``."""

    name: str
    first: int
    end: int


@dataclass
class Outcome:
    """Result of a campaign.

    Attributes:
        cases: Number of cases run.
        wrong: Case to its error.
        survived: Cases that crashed or hung their process, of targets that the product isolates.
    """

    cases: int = 0
    wrong: dict[str, str] = field(default_factory=dict)
    survived: dict[str, str] = field(default_factory=dict)


def planned(room: str, n_cases: int, first: int) -> list[Cases]:
    """About ``n_cases`` cases of a room from ``first`` on, divided by the shares of its targets."""
    targets = targets_in(room)
    shares = sum(t.share for t in targets.values())
    return [
        Cases(name, first, first + max(1, round(n_cases * target.share / shares)))
        for name, target in targets.items()
    ]


def run_campaign(room: str, plan: Sequence[Cases], scratch: Path) -> Outcome:
    """Run all cases of a plan."""
    outcome = Outcome()
    rest = list(plan)
    while rest:
        died_of, how = _Run(room, rest, scratch, outcome).until_death()
        if died_of is None:
            break
        name, number = died_of.split(":")
        kept = outcome.survived if targets_in(room)[name].isolated else outcome.wrong
        kept[died_of] = how
        while rest[0].name != name:
            rest.pop(0)
        rest[0] = Cases(name, int(number) + 1, rest[0].end)
        if rest[0].first >= rest[0].end:
            rest.pop(0)
    return outcome


class _Run:
    """One process."""

    def __init__(self, room: str, plan: Sequence[Cases], scratch: Path, outcome: Outcome) -> None:
        self._outcome = outcome
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", str(scratch), room],
            cwd=_REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.writelines(f"{c.name} {c.first} {c.end}\n" for c in plan)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._log = ""
        self._readers = [
            threading.Thread(target=self._read_lines), threading.Thread(target=self._read_log)
        ]  # fmt: skip
        for reader in self._readers:
            reader.start()

    def until_death(self) -> tuple[str | None, str]:
        """Follow the process; returns the case that crashed it or None, and how it ended."""
        current: str | None = None
        hangs, used = False, 0.0
        try:
            while True:
                try:
                    line = self._lines.get(timeout=_POLL_S)
                except queue.Empty:
                    if current is not None and self._cpu_s() - used > _CPU_S:
                        hangs = True
                        self._process.kill()
                    continue
                if line is None:
                    break
                kind, _, text = line.rstrip("\n").partition(" ")
                if kind == "end":
                    return None, ""
                if kind == "case":
                    current, used = text, self._cpu_s()
                    self._outcome.cases += 1
                elif kind == "wrong" and current is not None:
                    self._outcome.wrong[current] = text
        finally:
            self._process.kill()
            self._process.wait()
            for reader in self._readers:
                reader.join()
        if current is None:
            raise RuntimeError(f"the worker did not begin:\n{self._log}")
        return current, "hangs" if hangs else f"exit {self._process.returncode}: {self._log}"

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                self._lines.put(line)
        self._lines.put(None)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            for line in stderr:
                self._log = (self._log + line)[-_LOG_CHARACTERS:]

    def _cpu_s(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)
