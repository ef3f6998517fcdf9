"""Damage as caused by disks, transfers, editors and other programs."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_ODD_BYTES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_ODD_NUMBERS = (
    b"0", b"-1", b"1e999", b"NaN", b"-Infinity", b"99999999999999999999999", b"1e-400", b"null",
    b'"x"', b"[]", b"{}", b"true", b"2147483648", b"0.5", b"\xff",
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_MOST_BYTES = 40


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three kinds of damage."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            data = rng.choice(_KINDS)(data, rng)
    return data


def _some_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    # A single byte is most likely to pass the first checks.
    for _ in range(rng.choice((1, 1, 1, 2, 5, _MOST_BYTES))):
        changed[_place(data, rng)] = rng.choice((rng.randrange(256), rng.choice(_ODD_BYTES)))
    return bytes(changed)


def _one_bit(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _integer(data: bytes, rng: random.Random) -> bytes:
    size = rng.choice((2, 4, 8))
    value = rng.choice((0, 1, (1 << 8 * size) - 1, 1 << (8 * size - 1), rng.randrange(1 << 16)))
    at = _place(data, rng)
    encoded = value.to_bytes(size, rng.choice(("little", "big")))
    return data[:at] + encoded + data[at + size :]


def _cut_end(data: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _cut_out(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _double(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:]


def _splice(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    at = _place(data, rng)
    return data[:at] + data[start:end] + data[at + end - start :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.randint(1, _MOST_BYTES)) + data[at:]


def _zeros(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def _number(data: bytes, rng: random.Random) -> bytes:
    """Replace a number in a text by another, or remove it."""
    found = list(_NUMBER.finditer(data[:100_000]))
    if not found:
        return _some_bytes(data, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(_ODD_NUMBERS) + data[match.end() :]


def _place(data: bytes, rng: random.Random) -> int:
    """Any position; every other time near the ends, where headers and directories are."""
    if rng.random() < 0.5:
        return rng.randrange(len(data))
    near = min(len(data), 512)
    return rng.choice((rng.randrange(near), len(data) - 1 - rng.randrange(near)))


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = _place(data, rng)
    return start, min(len(data), start + rng.choice((1, 4, 16, 100, 1000)))


_KINDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _some_bytes, _some_bytes, _some_bytes, _one_bit, _integer, _integer, _cut_end, _cut_out,
    _double, _splice, _insert, _zeros, _number, _number,
)  # fmt: skip
