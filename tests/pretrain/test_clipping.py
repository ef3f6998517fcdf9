from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from muse_core.pretrain.clipping import clip_each


def _with_gradient(values: list[float]) -> nn.Parameter:
    parameter = nn.Parameter(torch.zeros(len(values), dtype=torch.float64))
    parameter.grad = torch.tensor(values, dtype=torch.float64)
    return parameter


def test_long_gradients_are_shortened_and_others_stay() -> None:
    long, short, none = (
        _with_gradient([30.0, 40.0]),
        _with_gradient([0.3, -0.4]),
        _with_gradient([]),
    )
    none.grad = None
    norm = clip_each([long, short, none], 5.0)
    assert norm == pytest.approx(np.hypot(50.0, 0.5), rel=1e-12)
    assert long.grad is not None
    assert short.grad is not None
    np.testing.assert_allclose(long.grad.numpy(), [3.0, 4.0], rtol=1e-6)
    np.testing.assert_array_equal(short.grad.numpy(), [0.3, -0.4])


def test_each_is_clipped_as_torch_clips_it_alone() -> None:
    gradients = [np.random.default_rng(i).normal(0, i, 7).tolist() for i in range(6)]
    together, alone = ([_with_gradient(g) for g in gradients] for _ in range(2))
    clip_each(together, 2.0)
    for parameter in alone:
        nn.utils.clip_grad_norm_([parameter], 2.0)
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_where_there_is_no_gradient_there_is_none_to_clip() -> None:
    assert clip_each([nn.Parameter(torch.zeros(2))], 1.0) == 0


def test_a_gradient_that_is_no_number_is_seen() -> None:
    assert np.isnan(clip_each([_with_gradient([1.0]), _with_gradient([np.nan])], 1.0))
