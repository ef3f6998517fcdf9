"""Folded batch norms give the same result, and only foldable ones are folded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from muse_core.models.folding import with_folded_norms
from muse_core.models.registry import list_models, resolve_model

BUNDLED = [entry.name for entry in list_models() if entry.bundled]


def norms_of(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_networks_are_folded_whole_and_compute_the_same(name: str) -> None:
    from muse_core.models.checkpoint import load_model

    model = load_model(resolve_model(name)).eval()
    before = norms_of(model)
    folded = with_folded_norms(model)
    assert norms_of(folded) == 0
    assert norms_of(model) == before > 20
    image = torch.rand(1, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, one = model(image)
        found, other = folded(image)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(other.logit, one.logit, atol=2e-3, rtol=1e-3)


class Odd(nn.Module):
    """A convolution that runs twice, a norm without one, and a pair that can be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.twice = nn.Conv2d(3, 3, 1)
        self.after = nn.BatchNorm2d(3)
        self.last = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    def forward(self, image: Tensor) -> Tensor:
        x = self.twice(self.first(image))
        result: Tensor = self.last(self.after(self.twice(x)))
        return result


def test_what_cannot_be_folded_stays() -> None:
    torch.manual_seed(0)
    odd = Odd()
    for module in odd.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    odd.eval()
    folded = with_folded_norms(odd)
    assert norms_of(folded) == 2
    assert isinstance(folded.last[1], nn.Identity)
    image = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(folded(image), odd(image), atol=1e-5, rtol=1e-4)
