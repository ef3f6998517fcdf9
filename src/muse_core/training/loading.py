"""Load batches in worker processes, which are ended reliably."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset

from muse_core.errors import UserError
from muse_core.training.interrupts import leave_interrupts_to_the_run

_PREFETCHED = 4
"""Batches that each process prepares ahead."""
_SHARED = Path("/dev/shm")
"""Where Linux has the memory that processes share."""
_ENOUGH_BYTES = 2 << 30
"""Of shared memory, for all batches that are prepared ahead."""


def prepared_batches(
    dataset: Dataset[Any],
    workers: int,
    batch: int | None = None,
    collate: Callable[[list[Any]], Any] | None = None,
    pin_memory: bool = False,
) -> Generator[Any, None, None]:
    """Yield the batches of a dataset in order; the worker processes end with the generator.

    Args:
        dataset: Samples, or whole batches.
        workers: Processes that prepare batches; 0 prepares them here, as is done where the system
            has no means for processes to wait for each other.
        batch: Samples of a batch; None where the dataset gives whole batches.
        collate: Joins the samples of a batch.
        pin_memory: Whether a GPU is to fetch them.

    Raises:
        UserError: The dataset's own error, without the traceback that torch puts in front.
    """
    workers = workers if workers and _has_semaphores() else 0
    # Where shared memory is full, torch waits for the batch without end: containers have 64 MB.
    packed = workers > 0 and _room_to_share() < _ENOUGH_BYTES
    batches = iter(
        DataLoader(
            _ErrorsAsItems(dataset, packed and batch is None),
            batch_size=batch,
            collate_fn=_Collate(collate, packed) if collate else None,
            num_workers=workers,
            pin_memory=pin_memory,
            prefetch_factor=_PREFETCHED if workers else None,
            worker_init_fn=leave_interrupts_to_the_run,
        )
    )
    try:
        for prepared in batches:
            if isinstance(prepared, bytes):
                prepared = pickle.loads(prepared)
            if isinstance(prepared, UserError):
                raise prepared
            yield prepared
    finally:
        # Left to the end of the program they would be asked once to end, as Ctrl-C asks, and waited
        # for without end; an error on its way keeps the loader from being collected before.
        shut_down = getattr(batches, "_shutdown_workers", None)
        if shut_down is not None:
            shut_down()


@contextlib.contextmanager
def workers_may_end() -> Iterator[None]:
    """Context for work with prepared batches, anywhere in which torch reports ended workers.

    Raises:
        UserError: A worker process was ended from outside.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker (pid"):
            raise
        raise UserError(
            "A process that prepares batches was ended by the system, for which too little memory"
            " is the usual reason. The last checkpoint is kept; try with fewer workers."
        ) from error


def _has_semaphores() -> bool:
    """Whether processes can wait for each other; on Linux that takes writable shared memory."""
    try:
        multiprocessing.Lock()
    except (OSError, ImportError):
        return False
    return True


def _room_to_share() -> float:
    """Free bytes of shared memory, in which processes hand over tensors; infinite elsewhere."""
    try:
        facts = os.statvfs(_SHARED)
    except (OSError, AttributeError):
        return float("inf")
    return facts.f_bavail * facts.f_frsize


@dataclass(frozen=True)
class _ErrorsAsItems(Dataset[Any]):
    """A dataset that gives a UserError as an item, not raises it; pickles samples if ``packed``."""

    dataset: Any
    packed: bool

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, item: int) -> Any:
        try:
            sample = self.dataset[item]
            return pickle.dumps(sample) if self.packed else sample
        except UserError as error:
            # Without its traceback, whose frames would keep arrays in memory.
            return error.with_traceback(None)


@dataclass(frozen=True)
class _Collate:
    """Joins samples; of a batch with a sample that could not be made remains why."""

    join: Callable[[list[Any]], Any]
    packed: bool

    def __call__(self, samples: list[Any]) -> Any:
        errors = [sample for sample in samples if isinstance(sample, UserError)]
        if errors:
            return errors[0]
        joined = self.join(samples)
        return pickle.dumps(joined) if self.packed else joined
