from __future__ import annotations

import sys

import pytest
import torch

from muse_core.processor import emulates_bfloat16, lacks_bfloat16_instructions

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
