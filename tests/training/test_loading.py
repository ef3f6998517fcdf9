"""Errors and processes of batch loading."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from muse_core.errors import UserError
from muse_core.training.loading import prepared_batches, workers_may_end

SENTENCE = "roi.tif is truncated."


@dataclass(frozen=True)
class _Numbers(Dataset[torch.Tensor]):
    """The numbers below 6; one cannot be read and one raises an unexpected error."""

    unreadable: int = -1
    unexpected: int = -1

    def __len__(self) -> int:
        return 6

    def __getitem__(self, item: int) -> torch.Tensor:
        if item == self.unreadable:
            raise UserError(SENTENCE)
        if item == self.unexpected:
            raise RuntimeError("a fault")
        if item >= len(self):
            raise IndexError(item)
        return torch.tensor(item)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch", [None, 2])
def test_all_come_in_order(workers: int, batch: int | None) -> None:
    join = torch.stack if batch else None
    batches = [b.reshape(-1).tolist() for b in prepared_batches(_Numbers(), workers, batch, join)]
    assert batches == ([[0, 1], [2, 3], [4, 5]] if batch else [[i] for i in range(6)])
    assert not active_children()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shared memory of Linux")
@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("enough", [0, 1 << 62])
def test_where_shared_memory_is_short_none_is_used(
    monkeypatch: pytest.MonkeyPatch, batch: int | None, enough: int
) -> None:
    monkeypatch.setattr("muse_core.training.loading._ENOUGH_BYTES", enough)
    join = torch.stack if batch else None
    batches = list(prepared_batches(_Numbers(), 2, batch, join))
    assert torch.cat([b.reshape(-1) for b in batches]).tolist() == list(range(6))
    assert {b.is_shared() for b in batches} == {enough == 0}


@pytest.mark.parametrize("batch", [None, 2])
def test_where_shared_memory_cannot_be_written_batches_are_prepared_here(
    monkeypatch: pytest.MonkeyPatch, batch: int | None
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # As on a system whose /dev/shm is missing or read-only; its queues need semaphores too.
    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse)
    join = torch.stack if batch else None
    batches = list(prepared_batches(_Numbers(), 2, batch, join))
    assert torch.cat([b.reshape(-1) for b in batches]).tolist() == list(range(6))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("batch", [None, 2])
def test_a_sentence_arrives_as_it_was_said(workers: int, batch: int | None) -> None:
    join = torch.stack if batch else None
    seen: list[Any] = []
    with pytest.raises(UserError) as raised:  # noqa: PT012
        for prepared in prepared_batches(_Numbers(unreadable=3), workers, batch, join):
            seen += prepared.reshape(-1).tolist()
    assert str(raised.value) == SENTENCE
    assert seen == ([0, 1] if batch else [0, 1, 2])
    # Also while the error propagates: it holds the frames it passed through.
    assert not active_children()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_a_worker_that_the_system_ends_gets_a_sentence() -> None:
    batches = prepared_batches(_Numbers(), 1)
    with pytest.raises(UserError, match=r"ended by the system.*fewer workers"):
        _end_the_worker_of(batches)
    assert not active_children()
    with pytest.raises(RuntimeError, match="a fault"), workers_may_end():
        list(prepared_batches(_Numbers(unexpected=2), 1))


def _end_the_worker_of(batches: Generator[Any, None, None]) -> None:
    with workers_may_end(), contextlib.closing(batches):
        next(batches)
        (child,) = active_children()
        child.kill()
        child.join()
        list(batches)


def test_processes_end_whatever_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="a fault"):
        list(prepared_batches(_Numbers(unexpected=2), 1))
    assert not active_children()
    batches = prepared_batches(_Numbers(), 2)
    with pytest.raises(ZeroDivisionError), contextlib.closing(batches):
        _fail_after(batches)
    assert not active_children()


def _fail_after(batches: Iterator[Any]) -> None:
    next(batches)
    assert len(active_children()) == 2
    raise ZeroDivisionError
