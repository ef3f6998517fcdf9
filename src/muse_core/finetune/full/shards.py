"""Data parallelism over threads: each computes the gradients of a part of the batch.

Threads that share the work of one layer wait for each other at its end, hundreds of times a step.
On a processor that other programs use too, each wait lasts until the scheduler runs the slowest
thread. Threads that compute whole crops wait once a step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from muse_core.finetune.data.crop_dataset import CropBatch
from muse_core.finetune.full.step import FullLearner


class Shards:
    """Copies of a network that share its weights and compute gradients in parallel."""

    def __init__(self, network: FullLearner, n: int) -> None:
        """Make the copies.

        Args:
            network: On the CPU. Statistics of norms are those of its own part of each batch.
            n: Parts, at least 1.
        """
        self.networks = [network, *(copy.deepcopy(network) for _ in range(n - 1))]
        for other in self.networks[1:]:
            for shared, own in zip(network.parameters(), other.parameters(), strict=True):
                own.data = shared.data
        self._pool = ThreadPoolExecutor(
            n, "shard", initializer=torch.set_num_threads, initargs=(1,)
        )

    def backward(
        self,
        batch: CropBatch,
        seeds: list[int],
        loss: Callable[[FullLearner, CropBatch, int], Tensor],
    ) -> float:
        """Mean loss of the parts, with its gradient in the network's parameters.

        Args:
            batch: At least as many samples as parts.
            seeds: One for each part.
            loss: Of a network and a part of the batch, with the part's seed.

        Returns:
            The loss.
        """
        n = len(self.networks)
        edges = [len(batch.xy) * i // n for i in range(n + 1)]

        def compute(i: int) -> float:
            network = self.networks[i].train()
            network.zero_grad(set_to_none=True)
            value = loss(network, batch.part(edges[i], edges[i + 1]), seeds[i])
            value.backward()
            return float(value.detach())

        values = list(self._pool.map(compute, range(n)))
        for shared, *others in zip(*(m.parameters() for m in self.networks), strict=True):
            gradients = [p.grad for p in (shared, *others) if p.grad is not None]
            shared.grad = sum(gradients[1:], start=gradients[0]) / n if gradients else None
        return sum(values) / n

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
