"""The processes of a run: those that torchrun started, else one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import distributed

from muse_core.errors import UserError
from muse_core.models.compiler_shim import compiler_left_out
from muse_core.pretrain.config import PretrainConfig
from muse_core.pretrain.launch import launch

with compiler_left_out():
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment


def join_processes(config: PretrainConfig) -> Fabric:
    """Connect this process with the others, on the device and with the precision of the run."""
    started = launch()
    several = started.processes > 1
    fabric = Fabric(
        accelerator=config.device,
        devices=started.processes_here,
        num_nodes=started.processes // started.processes_here,
        strategy="ddp" if several else "auto",
        precision="32-true" if config.precision == "float32" else "bf16-mixed",
        # Left to itself, it takes the processes of a batch job of SLURM for those of the run.
        plugins=TorchElasticEnvironment() if several else LightningEnvironment(),
    )
    fabric.launch()
    return fabric


@contextlib.contextmanager
def others_may_end() -> Iterator[None]:
    """Context for work together with other processes.

    Raises:
        UserError: Another process has ended, or is out of reach.
    """
    try:
        yield
    except RuntimeError as error:
        # gloo's errors have no type of their own.
        if not isinstance(error, distributed.DistError) and "/gloo/" not in str(error):
            raise
        raise UserError(
            "Another process of this run has ended or is out of reach. The last checkpoint is kept;"
            " the same command goes on from it."
        ) from error
