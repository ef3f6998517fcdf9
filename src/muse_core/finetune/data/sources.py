"""Load points-folders as the training images of a run, with classes as indices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from muse_core.data.class_map import ANY
from muse_core.data.points_folder import AnnotatedImage, class_names_in, read_points_folder
from muse_core.errors import UserError
from muse_core.evaluate.matching import MATCH_RADIUS_UM
from muse_core.finetune.data.allowed_classes import allowed_classes
from muse_core.finetune.data.crop_dataset import Source, SourceImage
from muse_core.finetune.data.known import known_around, pixels_near
from muse_core.finetune.inputs import LabelSet
from muse_core.neighbours import Points
from muse_core.slides.mpp import require_fine

NO_NUCLEUS = "There is no annotated nucleus to learn from."


@dataclass(frozen=True)
class TrainingData:
    """Training data of a run: sources, label sets and counts of nuclei.

    Attributes:
        sources: All images, and slides without annotations.
        label_sets: Class names of each label set; the model's own is first.
        counts: Nuclei of each class in each label set, (K,) int64 each.
        allowed: For each label set the classes of the model that its classes may be, (L, K) bool;
            None where its classes are the model's, or have a head of their own.
    """

    sources: tuple[Source, ...]
    label_sets: tuple[tuple[str, ...], ...]
    counts: tuple[Tensor, ...]
    allowed: tuple[Tensor | None, ...]

    def to_json(self) -> dict[str, object]:
        """For a model card."""
        numbers = zip(self.label_sets[0], self.counts[0].tolist(), strict=True)
        return {"nuclei": dict(numbers), "n_images": sum(s.labelled for s in self.sources)}


def load_training_data(
    folders: Sequence[LabelSet],
    classes: Sequence[str] | None = None,
    others: Sequence[SourceImage] = (),
    model_mpp: float = 0.0,
) -> TrainingData:
    """Read the points-folders.

    Folders whose classes are the model's share label set 0; each of the others has one of its own.

    Args:
        folders: What to read.
        classes: Classes the model has already; None takes those of the counting folders and those
            that class maps name.
        others: Images besides, of label set 0.
        model_mpp: Microns per pixel that finer images are shrunk to.

    Raises:
        UserError: A folder is malformed, has no nuclei where classes count, or holds a class the
            model does not have, or its class map does not fit.
    """
    return training_data(folders, read_folders(folders, model_mpp), classes, others)


def read_folders(folders: Sequence[LabelSet], model_mpp: float) -> list[list[AnnotatedImage]]:
    """Return the images of each points-folder, finer ones shrunk to ``model_mpp``."""
    return [
        [
            _shrunk(image, model_mpp)
            for image in read_points_folder(f.folder, f.mpp, f.names, f.force_mpp)
        ]
        for f in folders
    ]


def read_validation(folder: LabelSet) -> tuple[AnnotatedImage, ...]:
    """Return the images to validate on.

    Raises:
        UserError: The folder is malformed, or no nucleus is annotated in it.
    """
    images = read_points_folder(folder.folder, folder.mpp, folder.names, folder.force_mpp)
    if not class_names_in(images):
        raise UserError(f"{folder.folder}, to validate on, has no annotated nucleus.")
    return images


def own_class_names(
    folders: Sequence[LabelSet], images: Sequence[Sequence[AnnotatedImage]]
) -> tuple[str, ...]:
    """Return the classes that occur in the folders whose classes are the model's, sorted."""
    own = [i for f, group in zip(folders, images, strict=True) if _is_own(f) for i in group]
    return class_names_in(own)


def mapped_class_names(folders: Sequence[LabelSet]) -> set[str]:
    """Return the classes of the model that class maps of the folders name."""
    return {n for f in folders for names in (f.class_map or {}).values() for n in names if n != ANY}


def training_data(
    folders: Sequence[LabelSet],
    images: Sequence[Sequence[AnnotatedImage]],
    classes: Sequence[str] | None,
    others: Sequence[SourceImage],
) -> TrainingData:
    """Like :func:`load_training_data`, for images that are already in memory."""
    found = {*own_class_names(folders, images), *mapped_class_names(folders)}
    own = tuple(classes or sorted(found))
    if not own:
        raise UserError(NO_NUCLEUS)
    label_sets, sources = [own], list(others)
    allowed: list[Tensor | None] = [None]
    for folder, group in zip(folders, images, strict=True):
        number = 0
        occurring = tuple(n for n in class_names_in(group) if n not in folder.doubtful_classes)
        if not _is_own(folder):
            number = len(label_sets)
            label_sets.append(occurring)
            allowed.append(_allowed(folder, occurring, own))
        unknown = set(occurring) - set(label_sets[number])
        if unknown:
            raise UserError(
                f"{folder.folder} holds the class {sorted(unknown)[0]!r}, which the "
                f"model does not have ({', '.join(own)})."
            )
        sources += [_source(i, folder, label_sets[number], number, len(group)) for i in group]
    counts = tuple(_counts(sources, k, len(names)) for k, names in enumerate(label_sets))
    if not any(count.any() for count in counts):
        raise UserError(NO_NUCLEUS)
    return TrainingData(tuple(sources), tuple(label_sets), counts, tuple(allowed))


def _is_own(folder: LabelSet) -> bool:
    return folder.classes_count and folder.class_map is None


def _allowed(folder: LabelSet, occurring: Sequence[str], own: Sequence[str]) -> Tensor | None:
    if folder.class_map is None:
        return None
    return allowed_classes(occurring, folder.class_map, own, folder.folder)


def _shrunk(image: AnnotatedImage, model_mpp: float) -> AnnotatedImage:
    """Downsample an image finer than the model's scale, antialiased; others are returned as is."""
    if image.mpp >= model_mpp:
        if model_mpp:
            require_fine(image.mpp, model_mpp)
        return image
    height, width = image.image.shape[:2]
    scale = image.mpp / model_mpp
    new_w, new_h = max(1, round(width * scale)), max(1, round(height * scale))
    # Pillow widens its kernel when it shrinks, which is the antialiasing.
    pixels = Image.fromarray(image.image).resize((new_w, new_h), Image.Resampling.BICUBIC)
    factor = np.array([new_w / width, new_h / height], dtype=np.float32)
    return dataclasses.replace(image, image=np.asarray(pixels), xy=image.xy * factor, mpp=model_mpp)


def _source(
    image: AnnotatedImage, folder: LabelSet, names: Sequence[str], number: int, n_images: int
) -> SourceImage:
    doubtful = np.array([n in folder.doubtful_classes for n in image.class_names], dtype=bool)
    xy = image.xy[~doubtful]
    return SourceImage(
        image.image,
        xy,
        np.array(
            [names.index(n) for n in image.class_names if n not in folder.doubtful_classes],
            dtype=np.int64,
        ),
        number,
        image.mpp,
        folder.weight / n_images,
        known=_known(image, xy, image.xy[doubtful], folder.exhaustive),
    )


def _known(
    image: AnnotatedImage, xy: Points, doubtful_xy: Points, exhaustive: bool
) -> npt.NDArray[np.bool_] | None:
    """(H, W) bool, where every nucleus is annotated; None where that is the whole image."""
    height, width = image.image.shape[:2]
    if exhaustive and not len(doubtful_xy):
        return None
    known = (
        np.ones((height, width), dtype=bool)
        if exhaustive
        else known_around(xy, (height, width), image.mpp)
    )
    return known & ~pixels_near(doubtful_xy, MATCH_RADIUS_UM / image.mpp, (height, width))


def _counts(sources: Sequence[Source], label_set: int, n_classes: int) -> Tensor:
    classes = [
        s.classes for s in sources if isinstance(s, SourceImage) and s.label_set == label_set
    ]
    return torch.bincount(
        torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *classes])), minlength=n_classes
    )
