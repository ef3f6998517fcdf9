"""Features of this machine's processor that the libraries do not report."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

_NATIVE_BFLOAT16 = frozenset(("avx512_bf16", "amx_bf16", "avx_ne_convert"))


@lru_cache(maxsize=1)
def emulates_bfloat16() -> bool:
    """Return whether bfloat16 is emulated on this processor, several times slower than float32.

    oneDNN, which both torch and OpenVINO compute with, reports bfloat16 as supported on every
    processor with AVX-512, also on those that lack its instructions (Intel's before Cooper Lake,
    Ice Lake among them). False where the features of the processor cannot be read, which is
    anywhere but on Linux.
    """
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return lacks_bfloat16_instructions(cpuinfo)


def lacks_bfloat16_instructions(cpuinfo: str) -> bool:
    """Return whether the text of /proc/cpuinfo is of a processor with AVX-512 but no bfloat16."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            flags = set(value.split())
            return "avx512f" in flags and not flags & _NATIVE_BFLOAT16
    return False
