"""numpy's products in one thread, for as long as anybody wants that."""

from __future__ import annotations

import numpy as np
from threadpoolctl import ThreadpoolController

from muse_core.detect.backends.blas_threads import one_blas_thread


def threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    blas = ThreadpoolController().select(internal_api="openblas")
    return [library.num_threads for library in blas.lib_controllers]


def test_the_last_one_gives_the_threads_back() -> None:
    before = threads()
    one, other = one_blas_thread(), one_blas_thread()
    with one:
        assert set(threads()) <= {1}
        other.__enter__()
    assert set(threads()) <= {1}
    other.__exit__(None, None, None)
    assert threads() == before
