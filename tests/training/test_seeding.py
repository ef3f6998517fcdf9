from __future__ import annotations

import torch

from muse_core.training.seeding import seed_step


def test_each_step_has_a_randomness_of_its_own_that_can_be_repeated() -> None:
    draws = []
    for seed, step in ((0, 0), (0, 1), (1, 0), (0, 1)):
        generator = seed_step(seed, step)
        draws.append((float(torch.rand(1)), float(torch.rand(1, generator=generator))))
    assert len(set(draws[:3])) == 3
    assert draws[1] == draws[3]


def test_a_seed_of_64_bits_is_a_seed() -> None:
    draws = set()
    for seed in (2**62, 2**63 - 1):
        seed_step(seed, 5)
        draws.add(float(torch.rand(1)))
    assert len(draws) == 2


def test_checkpoints_of_before_go_on_with_the_same_numbers() -> None:
    torch.manual_seed(3 * 1_000_003 + 7)
    expected = torch.rand(4)
    generator = seed_step(3, 7)
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(torch.rand(4, generator=generator), expected)
