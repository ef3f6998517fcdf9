"""Batch normalisation over the samples of all processes, on any device.

torch's SyncBatchNorm works on GPUs only. With this one, several processes compute exactly what one
process with the whole batch does, on the CPU too. It also accepts a process with a single row or
none, as may happen with matched nuclei, which torch's refuses.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


class GlobalBatchNorm(_BatchNorm):
    """Batch norm of (N, C) or (B, C, H, W) with statistics of all processes while training."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each channel over everything else."""
        if not self.training:
            return super().forward(input)
        # Sums over a batch need more than the bits of bfloat16.
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        others = [axis for axis in range(x.ndim) if axis != 1]
        each = (-1, *[1] * (x.ndim - 2))
        count = x.new_full((1,), x.numel() / x.shape[1])
        total = _over_processes(torch.cat([x.sum(dim=others), count]))
        n = total[-1].detach().clamp_min(1)
        mean = total[:-1] / n
        # Subtract the mean before squaring: deviations may be small compared with the mean.
        centred = x - mean.view(each)
        variance = _over_processes(centred.square().sum(dim=others)) / n
        self._remember(mean.detach(), variance.detach() * n / (n - 1).clamp_min(1), n > 1)
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale.view(each) + self.bias.view(each)).to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions from 2 on."""

    def _remember(self, mean: Tensor, variance: Tensor, counts: Tensor) -> None:
        """Move the running statistics if ``counts``, which the device need not be waited for."""
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(counts)
        share = self.momentum * counts.to(self.running_mean)
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(variance.to(self.running_var), share)


class _SumOverProcesses(torch.autograd.Function):
    """Sum a tensor over all processes; its gradient is summed likewise."""

    @staticmethod
    def forward(ctx: object, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return _over_processes(gradient)


def _over_processes(own: Tensor) -> Tensor:
    if not distributed.is_initialized():
        return own
    total: Tensor = _SumOverProcesses.apply(own)  # type: ignore[no-untyped-call]
    return total


def normalise_globally(network: nn.Module) -> None:
    """Replace each BatchNorm2d of a network, which keeps its weights; for several processes."""
    if not distributed.is_initialized():
        return
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, _converted(child))


def _converted(norm: nn.BatchNorm2d) -> GlobalBatchNorm:
    twin = GlobalBatchNorm(norm.num_features, norm.eps, norm.momentum).to(norm.weight)
    twin.load_state_dict(norm.state_dict())
    return twin
