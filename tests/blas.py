"""Thread settings of numpy's BLAS."""

from __future__ import annotations

import numpy as np
from threadpoolctl import ThreadpoolController


def blas_threads() -> list[int]:
    """Threads of each loaded OpenBLAS; on some systems there is none."""
    np.ones((2, 2)) @ np.ones((2, 2))
    blas = ThreadpoolController().select(internal_api="openblas")
    return [library.num_threads for library in blas.lib_controllers]
