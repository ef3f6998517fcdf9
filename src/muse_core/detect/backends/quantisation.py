"""Converted networks in eight-bit integers, by NNCF. Importing this module loads numpy only."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
from collections.abc import Sequence
from typing import Any

from muse_core.array_types import RgbArray
from muse_core.detect.backends.openvino_library import openvino
from muse_core.errors import UserError


def require_nncf() -> None:
    """Raise a UserError where NNCF is not installed; does not load it."""
    if importlib.util.find_spec("nncf") is None:
        raise UserError(
            "Detection in int8 needs NNCF; pip install 'napari-muse[int8]', or choose another"
            " precision."
        )


def quantised(network: Any, images: Sequence[RgbArray]) -> Any:
    """Return a network that computes its convolutions in int8 (Jacob et al., CVPR 2018).

    Weights take half of the range of int8: processors without VNNI add products up in 16 bits,
    which overflow with the whole range. So all processors compute the same.

    Args:
        network: An openvino.Model of (1, H, W, 3) uint8.
        images: (H, W, 3) uint8 each, of which the ranges of all that flows in the network are read.
    """
    # First, with its telemetry off; NNCF would import it with telemetry on.
    openvino()
    import nncf

    nncf.set_log_level(logging.ERROR)
    # NNCF draws progress bars on standard output, where jobs write JSON lines.
    with contextlib.redirect_stdout(io.StringIO()):
        calibration = nncf.Dataset([image[None] for image in images])
        half_range = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
        return nncf.quantize(
            network, calibration, subset_size=len(images), advanced_parameters=half_range
        )
