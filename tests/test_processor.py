from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from muse_core.control_groups import ControlGroups
from muse_core.processor import (
    core_limit,
    emulates_bfloat16,
    lacks_bfloat16_instructions,
    limited_cores,
    usable_cores,
)

from .control_groups import limited_group, written_groups

_COMMON = "fpu sse sse2 avx avx2 f16c fma"
_SKYLAKE = f"{_COMMON} avx512f avx512dq avx512cd avx512bw avx512vl"


@pytest.mark.parametrize(
    ("flags", "lacks"),
    [
        pytest.param(_COMMON, False, id="AVX2, where nobody emulates"),
        pytest.param(_SKYLAKE, True, id="Skylake, Cascade Lake"),
        pytest.param(f"{_SKYLAKE} avx512_vnni avx512_vbmi2 avx512_bitalg", True, id="Ice Lake"),
        pytest.param(f"{_SKYLAKE} avx512_vnni avx512_bf16", False, id="Cooper Lake, Zen 4"),
        pytest.param(f"{_SKYLAKE} avx512_bf16 amx_bf16 amx_tile", False, id="Sapphire Rapids"),
        pytest.param(f"{_COMMON} avx_vnni avx_ne_convert", False, id="Sierra Forest"),
    ],
)
def test_bfloat16_is_emulated_with_avx512_that_lacks_its_instructions(
    flags: str, lacks: bool
) -> None:
    core = "processor\t: {}\nmodel name\t: CPU\nflags\t\t: {}\nbugs\t\t: avx512f\n\n"
    cpuinfo = "".join(core.format(number, flags) for number in range(2))
    assert lacks_bfloat16_instructions(cpuinfo) == lacks


@pytest.mark.parametrize("cpuinfo", ["", "processor\t: 0\nFeatures\t: fp asimd bf16\n"])
def test_other_processors_emulate_nothing(cpuinfo: str) -> None:
    assert not lacks_bfloat16_instructions(cpuinfo)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the features as a file")
def test_of_this_machine_torch_says_the_same() -> None:
    known = torch.cpu.get_capabilities()
    native = any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "avx_ne_convert"))
    assert emulates_bfloat16() == (bool(known.get("avx512_f")) and not native)


DOCKER_2 = ("0::/\n", {"cpu.max": "150000 100000\n"})
"""A container by version 2 of control groups, which sees its own group as the top."""
DOCKER_1 = (
    "11:memory:/docker/f0e\n4:cpu,cpuacct:/docker/f0e\n",
    {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"},
)
"""A container by version 1, which names its group as the machine does, and does not see it."""
SLURM = (
    "0::/system.slice/slurm/job_7/step_0\n",
    {
        "system.slice/slurm/job_7/step_0/cpu.max": "max 100000\n",
        "system.slice/slurm/job_7/cpu.max": "150000 100000\n",
        "system.slice/cpu.max": "3200000 100000\n",
    },
)
FREE_2 = ("0::/user.slice\n", {"user.slice/cpu.max": "max 100000\n"})
FREE_1 = (
    "4:cpu:/\n",
    {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
)
ODD = ("0::/\n", {"cpu.max": "\n"})


@pytest.mark.parametrize(
    ("groups", "limit"),
    [(DOCKER_2, 1.5), (DOCKER_1, 1.5), (SLURM, 1.5), (FREE_2, None), (FREE_1, None), (ODD, None)],
    ids=["docker 2", "docker 1", "slurm", "free 2", "free 1", "odd"],
)
def test_the_time_of_a_container_counts(
    tmp_path: Path, groups: tuple[str, dict[str, str]], limit: float | None
) -> None:
    assert core_limit(written_groups(tmp_path, *groups)) == limit


def test_where_there_are_no_control_groups_all_cores_count(tmp_path: Path) -> None:
    assert core_limit(ControlGroups(tmp_path / "none", tmp_path)) is None
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.fixture
def half_a_core() -> Iterator[Path]:
    """A control group of this machine that has half a core, to be joined."""
    with limited_group("cpu", "cpu.cfs_quota_us", 50_000) as group:
        yield group


def test_a_limited_process_knows_it(half_a_core: Path) -> None:
    script = (
        f"open({str(half_a_core / 'cgroup.procs')!r}, 'w').write('0')\n"
        "from muse_core.processor import limited_cores, usable_cores\n"
        "print(limited_cores(), usable_cores())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1"], done.stderr
    assert (limited_cores() or math.inf) >= usable_cores()
