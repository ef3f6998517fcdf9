"""Detection in one call, for scripts and notebooks."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pandas as pd

from muse_core.detect.area import Shape
from muse_core.detect.backends import InferenceBackend
from muse_core.detect.backends.choosing import open_backend
from muse_core.detect.config import DetectConfig
from muse_core.detect.detector import Detector
from muse_core.detect.model import PointModel
from muse_core.errors import UserError
from muse_core.models.registry import resolve_model
from muse_core.slides import ImageChoice, Slide, open_slide, slide_from_arrays
from muse_core.slides.unreadable import unreadable_note


def detect(
    image: str | os.PathLike[str] | Slide | Any,
    model: str | os.PathLike[str] | PointModel | InferenceBackend | None = None,
    mpp: float | None = None,
    region: Shape | Sequence[Shape] | None = None,
    config: DetectConfig | None = None,
    choice: ImageChoice | None = None,
) -> pd.DataFrame:
    """Return every nucleus of an image, each once.

    Args:
        image: A file, an open slide, or an array or pyramid of arrays as
            :func:`muse_core.slides.slide_from_arrays` takes them.
        model: A loaded model, or the name or file of one, which may be run by OpenVINO; None is
            the default model.
        mpp: Microns per pixel of level 0, where the image does not say.
        region: Where to look, level-0 pixels; None is everywhere.
        config: Device, batch and thresholds.
        choice: Which image and plane of a file that holds several; a warning says which was taken
            where none is chosen. Of an open slide it is chosen already.

    Returns:
        NucleusTable, x and y in level-0 pixels from the corner of the first pixel. A warning says
        where the image could not be read; ``attrs["unreadable_px"]`` has these places.

    Raises:
        UserError: The image or the model cannot be used, or the scale is unknown.

    Example:
        >>> import numpy as np
        >>> import muse_core as muse
        >>> glass = np.full((256, 256, 3), 255, np.uint8)
        >>> len(muse.detect(glass, mpp=0.5))
        0
    """
    if choice is not None and not isinstance(image, str | os.PathLike):
        raise UserError("A choice is of a file; open_slide takes one, and an array has one image.")
    if config is not None and not isinstance(config, DetectConfig):
        raise UserError(f"The config is a DetectConfig, not {config!r}.")
    settings = config or DetectConfig()
    loaded = _loaded(model, settings)
    notes: Sequence[str] = ()
    with ExitStack() as opened:
        if isinstance(image, Slide):
            slide = image
        elif isinstance(image, str | os.PathLike):
            path = os.fspath(image)
            slide = opened.enter_context(open_slide(path, mpp, choice or ImageChoice()))
            notes = slide.notes
        else:
            slide = slide_from_arrays(image, mpp)
            notes = slide.notes
        result = Detector(loaded, settings).detect(_scaled(slide, mpp), region)
    if result.unreadable:
        notes = (*notes, unreadable_note(result.unreadable))
    for note in notes:
        # The caller called the package.
        warnings.warn(note, stacklevel=3)
    return result.table


def _loaded(
    model: str | os.PathLike[str] | PointModel | InferenceBackend | None, config: DetectConfig
) -> PointModel | InferenceBackend:
    """The model itself, of what stands for one; raises UserError where it is none."""
    if model is None or isinstance(model, str | os.PathLike):
        path = None if model is None else os.fspath(model)
        return open_backend(resolve_model(path), config)
    if not hasattr(model, "card"):
        raise UserError(
            f"A model is a name, a path or what load_model returns, not a {type(model).__name__}."
        )
    return model


def _scaled(slide: Slide, mpp: float | None) -> Slide:
    """The slide; with the given scale where it states none itself.

    Raises:
        UserError: There is no scale.
    """
    scaled = slide.with_mpp(mpp) if mpp is not None and slide.mpp is None else slide
    scaled.require_mpp("as mpp")
    return scaled
