from __future__ import annotations

import math

import pytest
import torch

from muse_core.pretrain.collapse import entropy_share, feature_rank, usage_share


def test_entropy_tells_certain_from_undecided() -> None:
    assert entropy_share(torch.full((3, 8), 1 / 8)) == pytest.approx(1)
    assert entropy_share(torch.eye(8)) == pytest.approx(0)
    assert math.isnan(entropy_share(torch.zeros(0, 8)))


def test_usage_tells_one_answer_from_many() -> None:
    assert usage_share(torch.eye(8)) == pytest.approx(1)
    assert usage_share(torch.eye(8)[:1].expand(5, 8)) == pytest.approx(0)


def test_feature_rank_counts_dimensions() -> None:
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    assert feature_rank(corners) == pytest.approx(3)
    assert feature_rank(corners[:, :1].expand(4, 3)) == pytest.approx(1, abs=1e-3)
    assert feature_rank(torch.ones(10, 4) * 3.3) == 0


def test_feature_rank_asks_no_device_for_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[torch.Tensor] = []
    to_cpu, to_double = torch.Tensor.cpu, torch.Tensor.double

    def cpu(tensor: torch.Tensor) -> torch.Tensor:
        moved.append(to_cpu(tensor).clone())
        return moved[-1]

    def double(tensor: torch.Tensor) -> torch.Tensor:
        assert any(tensor is m for m in moved), "still on its device"
        return to_double(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    monkeypatch.setattr(torch.Tensor, "double", double)
    assert feature_rank(torch.eye(3)) == pytest.approx(2)
