"""Batch normalisation over the samples of all processes, on any device.

torch's SyncBatchNorm does the same on GPUs only; with this one, several processes compute exactly
what one with the whole batch does, on the CPU too.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d with statistics of all processes while training."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        if not self.training:
            return super().forward(input)
        # Sums over a batch need more than the bits of bfloat16.
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        count = x.new_full((1,), x.numel() / x.shape[1])
        sums = torch.cat([x.sum(dim=(0, 2, 3)), x.square().sum(dim=(0, 2, 3)), count])
        total = all_reduce(sums)
        n = total[-1].detach()
        mean, square = (total[:-1] / n).chunk(2)
        variance = (square - mean.square()).clamp_min(0)
        self._remember(mean.detach(), variance.detach() * n / (n - 1).clamp_min(1))
        # The same formula as in evaluation, with statistics that carry a gradient.
        scale = (variance + self.eps).rsqrt() * self.weight
        shift = self.bias - mean * scale
        return (x * scale[:, None, None] + shift[:, None, None]).to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var), self.momentum)


def normalise_globally(network: nn.Module) -> None:
    """Replace each BatchNorm2d of a network, which keeps its weights; for several processes."""
    if not distributed.is_initialized():
        return
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, _converted(child))


def _converted(norm: nn.BatchNorm2d) -> GlobalBatchNorm2d:
    twin = GlobalBatchNorm2d(norm.num_features, norm.eps, norm.momentum).to(norm.weight)
    twin.load_state_dict(norm.state_dict())
    return twin
