"""Batch norm over two processes, compared with torch's own over the whole batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

PROGRAM = """
import sys, torch
from pathlib import Path
from torch import distributed, nn
from muse_core.pretrain.global_norm import GlobalBatchNorm, normalise_globally

rank = int(sys.argv[2])
meeting = Path(sys.argv[1]).with_name("meeting").as_uri()
distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
data = torch.load(sys.argv[1], weights_only=True)
network = nn.Sequential(nn.Identity(), nn.BatchNorm2d(3)).double()
network[1].load_state_dict(data["norm"])
normalise_globally(network)
assert type(network[1]) is GlobalBatchNorm
x = data["x"][rank * 2 : rank * 2 + 2].clone().requires_grad_()
y = network(x)
(y * data["weights"][rank * 2 : rank * 2 + 2]).sum().backward()
torch.save({"y": y.detach(), "grad": x.grad, "state": network[1].state_dict()},
           Path(sys.argv[1]).with_name(f"{rank}.pt"))
distributed.destroy_process_group()
"""


def test_outputs_gradients_and_statistics_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3).double()
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    x = (3 * torch.randn(4, 3, 5, 6, dtype=torch.float64) + 1).requires_grad_()
    weights = torch.randn(4, 3, 5, 6, dtype=torch.float64)
    torch.save({"norm": norm.state_dict(), "x": x.detach(), "weights": weights}, tmp_path / "in.pt")
    y = norm(x)
    (y * weights).sum().backward()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "in.pt")]
    ranks = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [process.wait() for process in ranks] == [0, 0]
    halves = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert x.grad is not None
    torch.testing.assert_close(torch.cat([h["y"] for h in halves]), y.detach())
    torch.testing.assert_close(torch.cat([h["grad"] for h in halves]), x.grad)
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(halves[0]["state"][name], value)
