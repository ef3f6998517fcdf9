"""From points-folders to the images a run trains on, with their classes as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from muse_core.data.points_folder import class_names_in, read_points_folder
from muse_core.errors import UserError
from muse_core.finetune.config import LabelSet
from muse_core.finetune.data.crop_dataset import Source, SourceImage


@dataclass(frozen=True)
class TrainingData:
    """What a run trains on.

    Attributes:
        sources: All images, and slides without annotations.
        label_sets: Class names of each label set; the model's own is first.
        counts: Nuclei of each class in each label set, (K,) int64 each.
    """

    sources: tuple[Source, ...]
    label_sets: tuple[tuple[str, ...], ...]
    counts: tuple[Tensor, ...]

    def to_json(self) -> dict[str, Any]:
        """For a model card."""
        numbers = zip(self.label_sets[0], self.counts[0].tolist(), strict=True)
        return {"nuclei": dict(numbers), "n_images": sum(s.labelled for s in self.sources)}


def load_training_data(
    folders: Sequence[LabelSet],
    classes: Sequence[str] | None = None,
    others: Sequence[SourceImage] = (),
) -> TrainingData:
    """Read the points-folders.

    Folders whose classes count share label set 0; each of the others has one of its own.

    Args:
        folders: What to read.
        classes: Classes the model has already; None takes those of the counting folders.
        others: Images besides, of label set 0.

    Raises:
        UserError: A folder is malformed, has no nuclei where classes count, or holds a class the
            model does not have.
    """
    images = [read_points_folder(f.folder, f.mpp, f.names) for f in folders]
    counting = [
        i for f, group in zip(folders, images, strict=True) if f.classes_count for i in group
    ]
    own = tuple(classes) if classes else class_names_in(counting)
    if not own:
        raise UserError("There is no annotated nucleus to learn from.")
    label_sets, sources = [own], list(others)
    for folder, group in zip(folders, images, strict=True):
        number = 0
        if not folder.classes_count:
            number = len(label_sets)
            label_sets.append(class_names_in(group))
        names = label_sets[number]
        unknown = set(class_names_in(group)) - set(names)
        if unknown:
            raise UserError(
                f"{folder.folder} holds the class {sorted(unknown)[0]!r}, which the "
                f"model does not have ({', '.join(names)})."
            )
        for image in group:
            index = np.array([names.index(n) for n in image.class_names], dtype=np.int64)
            weight = folder.weight / len(group)
            sources.append(SourceImage(image.image, image.xy, index, number, image.mpp, weight))
    counts = tuple(
        torch.bincount(
            torch.from_numpy(
                np.concatenate(
                    [np.zeros(0, np.int64), *(s.classes for s in sources if s.label_set == k)]
                )
            ),
            minlength=len(names),
        )
        for k, names in enumerate(label_sets)
    )
    return TrainingData(tuple(sources), tuple(label_sets), counts)
