"""Thousands of damaged files: each gives a result or an error message, and none crashes.

``MUSE_FUZZ_SEED`` sets the number of the first case; one case is repeated with
``python -m tests.fuzz NAME:NUMBER``.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from muse_core.errors import UserError
from muse_core.nuclei import read_nuclei

from .campaign import planned, run_campaign
from .case import ROOMS, Samples, targets_in

_SHORT = {"slides": 300, "tables": 300, "models": 200}
_LONG = {"slides": 7000, "tables": 8000, "models": 5000}
_SEED_STEP = 100_000


def _fuzz(room: str, n_cases: int, seed: int, scratch: Path) -> None:
    print(f"MUSE_FUZZ_SEED={seed}")
    outcome = run_campaign(room, planned(room, n_cases, seed * _SEED_STEP), scratch)
    assert outcome.cases >= 0.95 * n_cases
    found = [f"python -m tests.fuzz {case}: {what}" for case, what in outcome.wrong.items()]
    assert not found, f"MUSE_FUZZ_SEED={seed}\n" + "\n".join(found)
    # Cases that crashed their process, read in isolation as the product does.
    for case in list(outcome.survived)[:5]:
        name, number = case.split(":")
        samples = Samples(name, targets_in(room)[name], scratch / "again")
        samples.damage(int(number))
        with pytest.raises(UserError):
            read_nuclei(samples.path)


@pytest.mark.parametrize("room", ROOMS)
def test_damaged_files_give_a_result_or_a_sentence(room: str, tmp_path: Path) -> None:
    _fuzz(room, _SHORT[room], int(os.environ.get("MUSE_FUZZ_SEED", "0")), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_very_many_damaged_files(room: str, tmp_path: Path) -> None:
    # Different cases each night.
    tonight = datetime.now(UTC).toordinal()
    _fuzz(room, _LONG[room], int(os.environ.get("MUSE_FUZZ_SEED", tonight)), tmp_path)


def test_a_case_is_the_same_each_time(tmp_path: Path) -> None:
    contents = []
    for folder in ("a", "b"):
        samples = Samples("geojson", targets_in("tables")["geojson"], tmp_path / folder)
        samples.damage(7)
        contents.append(samples.path.read_bytes())
    assert contents[0] == contents[1]
