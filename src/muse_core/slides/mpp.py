"""Microns per pixel: what is plausible, and how two axes become one number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from muse_core.errors import UserError
from muse_core.mpp_range import MAX_MPP, MIN_MPP

MIN_TAG_MPP = 0.05
MAX_TAG_MPP = 5.0
"""Range in which the resolution tags of a TIFF are believed: 5,080 to 508,000 dpi. Screen and print
resolutions (72 to 4,800 dpi) lie outside, every microscope objective from 2x to 100x inside."""
MAX_ANISOTROPY = 0.02
"""x and y may differ by this share; the mean is used then."""
_TOO_COARSE = 10
"""Times the model's microns per pixel: a nucleus is a pixel or two wide."""


def check_mpp(mpp: float) -> float:
    """Return a value given by a person or program; raises UserError unless it can be true."""
    # Scripts give a pair as OpenSlide does, or a text from a table; True would be 1 micron.
    if isinstance(mpp, bool | np.bool_) or not hasattr(mpp, "__float__") or np.ndim(mpp) > 0:
        raise UserError(f"Microns per pixel are one number, not {mpp!r}.")
    if not math.isfinite(mpp) or not MIN_MPP <= mpp <= MAX_MPP:
        raise UserError(
            f"Microns per pixel must lie between {MIN_MPP:g} and {MAX_MPP:g}, got {mpp:g}."
        )
    return float(mpp)


def combine_mpp(mpp_x: float | None, mpp_y: float | None) -> tuple[float | None, str]:
    """One value for both axes of a file's metadata.

    Returns:
        The mean and an empty note, or None and half a sentence saying why the metadata is not used.
    """
    if mpp_x is None or mpp_y is None:
        return None, ""
    if not all(math.isfinite(v) and MIN_MPP <= v <= MAX_MPP for v in (mpp_x, mpp_y)):
        return None, f"its metadata says {mpp_x:g} x {mpp_y:g} um, which cannot be"
    if abs(mpp_x - mpp_y) > MAX_ANISOTROPY * min(mpp_x, mpp_y):
        return None, f"its pixels are not square, {mpp_x:g} x {mpp_y:g} um"
    # Rounding takes off the noise of the division, 0.49900000000000005.
    return round((mpp_x + mpp_y) / 2, 9), ""


def plausible_tag_mpp(mpp_x: float, mpp_y: float) -> bool:
    """Whether values from generic resolution tags look like a microscope, not like a printer."""
    return all(math.isfinite(v) and MIN_TAG_MPP <= v <= MAX_TAG_MPP for v in (mpp_x, mpp_y))


def require_fine(mpp: float, model_mpp: float, notes: Sequence[str] = ()) -> None:
    """Raise UserError if nuclei cannot be seen at ``mpp``, which then most likely is a mistake.

    Enlarged to what the model expects, a small image would become thousands of tiles.

    Args:
        mpp: Microns per pixel of an image.
        model_mpp: Microns per pixel the model expects.
        notes: Sentences on where the scale of the image comes from.
    """
    if mpp > _TOO_COARSE * model_mpp:
        sentence = (
            f"At {mpp:g} microns per pixel nuclei cannot be seen; check the scale. The model was"
            f" trained at {model_mpp:g}."
        )
        raise UserError(" ".join((sentence, *notes)))
