"""Names of the array types that many rooms share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
"""Which of some things, one truth value each."""
RgbArray = npt.NDArray[np.uint8]
"""(height, width, 3), or a batch of such."""
