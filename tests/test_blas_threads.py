"""Limiting numpy's products to one thread, for as long as anyone requires it."""

from __future__ import annotations

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
