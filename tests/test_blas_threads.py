"""Limiting numpy's products to one thread, for as long as anyone requires it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from muse_core.blas_threads import one_blas_thread

from .blas import blas_threads


def test_the_last_one_gives_the_threads_back() -> None:
    before = blas_threads()
    one, other = one_blas_thread(), one_blas_thread()
    with one:
        assert set(blas_threads()) <= {1}
        other.__enter__()
    assert set(blas_threads()) <= {1}
    other.__exit__(None, None, None)
    assert blas_threads() == before


def test_threads_limit_in_turn_while_all_of_them_live() -> None:
    before = blas_threads()
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for limiting, ending in ((first, second), (second, first), (first, first)):
            held: AbstractContextManager[None] = one_blas_thread()
            limiting.submit(held.__enter__).result()
            assert set(ending.submit(blas_threads).result()) <= {1}
            with one_blas_thread():
                ending.submit(held.__exit__, None, None, None).result()
                assert set(blas_threads()) <= {1}
            assert blas_threads() == before
