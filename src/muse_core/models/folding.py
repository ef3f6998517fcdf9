"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_EXAMPLE_PX = 64
Model = TypeVar("Model", bound=nn.Module)


def with_folded_norms(model: Model) -> Model:
    """Return a copy for inference in which batch norms are part of the convolutions.

    In bfloat16 that is closer to float32, because the values between a convolution and its batch
    norm are no longer rounded. OpenVINO folds them too, so that results agree.

    Args:
        model: In evaluation mode, on the processor; takes (B, 3, H, W) float.
    """
    folded = copy.deepcopy(model)
    for conv, norm in _pairs(folded):
        before, after = folded.get_submodule(conv), folded.get_submodule(norm)
        assert isinstance(before, nn.Conv2d)
        assert isinstance(after, nn.BatchNorm2d)
        _put(folded, conv, fuse_conv_bn_eval(before, after))
        _put(folded, norm, nn.Identity())
    return folded


def _pairs(model: nn.Module) -> list[tuple[str, str]]:
    """Names of convolutions and the batch norms that take their output, seen in a forward pass."""
    given: dict[int, tuple[str, Tensor]] = {}
    runs: Counter[str] = Counter()
    found: list[tuple[str, str]] = []

    def note(name: str, output: Tensor) -> None:
        runs[name] += 1
        given[id(output)] = name, output

    def match(name: str, taken: tuple[Tensor]) -> None:
        runs[name] += 1
        if id(taken[0]) in given:
            found.append((given[id(taken[0])][0], name))

    hooks: list[Any] = []
    for name, module in model.named_modules():
        if type(module) is nn.Conv2d:
            hooks.append(module.register_forward_hook(lambda _, __, out, n=name: note(n, out)))
        elif isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(lambda _, args, n=name: match(n, args)))
    try:
        with torch.inference_mode():
            model(torch.zeros(1, 3, _EXAMPLE_PX, _EXAMPLE_PX))
    finally:
        for hook in hooks:
            hook.remove()
    # What runs twice, or goes to two norms, cannot be folded.
    taken = Counter(conv for conv, _ in found)
    return [(c, n) for c, n in found if runs[c] == runs[n] == taken[c] == 1]


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)
