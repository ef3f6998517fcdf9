"""Inputs of fine-tuning: annotated images, reviewed slides, unlabelled tissue."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from muse_core.errors import UserError
from muse_core.strict import STRICT, StrictOptions

_MOST_WEIGHT = 1e9


@dataclass(frozen=True)
class LabelSet:
    """A points-folder whose classes form one label set.

    Attributes:
        folder: Folder with ``images/`` and ``points/``.
        mpp: Microns per pixel of its images that do not state it themselves.
        weight: Relative frequency with which crops are drawn from it.
        classes_count: Whether its classes are the model's. The nuclei of any other set train
            detection, and their classes a separate head that is dropped after training.
        names: File names without suffix of the images to take; None takes all.
        class_map: Maps each class of the folder to the classes of the model that it may be, or to
            ``("*",)`` for any; to ``()`` for marks that may not be nuclei, around which nothing is
            learnt. None where ``classes_count`` alone says how to use the classes.
        exhaustive: Whether every nucleus is annotated. Where not, tissue away from annotations
            never counts as background.
        force_mpp: Whether mpp counts also where an image states another scale.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    folder: Path
    mpp: float
    weight: float = 1.0
    classes_count: bool = True
    names: tuple[str, ...] | None = None
    class_map: Mapping[str, tuple[str, ...]] | None = None
    exhaustive: bool = True
    force_mpp: bool = False

    @property
    def teaches_classes(self) -> bool:
        """Whether the model's class head learns from it."""
        return self.classes_count or self.class_map is not None

    @property
    def doubtful_classes(self) -> frozenset[str]:
        """Classes of the folder whose marks may be no nuclei."""
        return frozenset(name for name, may_be in (self.class_map or {}).items() if not may_be)

    def __post_init__(self) -> None:
        if not math.isfinite(self.mpp) or self.mpp <= 0:
            raise UserError("The mpp of a points-folder must be a positive number.")
        if not 1 / _MOST_WEIGHT <= self.weight <= _MOST_WEIGHT:
            raise UserError(
                "The weight of a points-folder must be positive, from"
                f" {1 / _MOST_WEIGHT:g} to {_MOST_WEIGHT:g}."
            )


@dataclass(frozen=True)
class StoreSource:
    """An annotation store to learn from.

    Attributes:
        store: The file.
        slide: Its slide; None looks beside the store.
        mpp: Microns per level-0 pixel, where the slide's file does not say.
        force_mpp: Whether mpp counts also where the file states another scale.
        channels: Which channels of the slide are colours, as in
            :class:`muse_core.slides.ImageChoice`.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    store: Path
    slide: Path | None = None
    mpp: float | None = None
    force_mpp: bool = False
    channels: str | None = None


@dataclass(frozen=True)
class UnlabeledSource:
    """Tissue without annotations.

    Attributes:
        path: A slide, or a folder of images.
        mpp: Microns per pixel of what does not say it.
        force_mpp: Whether mpp counts also where a file states another scale.
    """

    __pydantic_config__: ClassVar[StrictOptions] = STRICT

    path: Path
    mpp: float | None = None
    force_mpp: bool = False


def require_once(sources: Sequence[tuple[Path, *tuple[object, ...]]]) -> None:
    """Refuse a source that is given twice, whose nuclei would count twice.

    Args:
        sources: File or folder of each, and what of it is taken.

    Raises:
        UserError: Two are the same, however their paths are written.
    """
    seen = set()
    for path, *taken in sources:
        try:
            source = os.path.realpath(path), *taken
        except OSError:
            # The current folder is gone: a relative path leads nowhere now.
            source = str(path), *taken
        if source in seen:
            raise UserError(f"{path} is given twice to learn from; once is enough.")
        seen.add(source)
