"""Map the classes of a label set to the model's classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from muse_core.data.class_map import ANY, allows
from muse_core.errors import UserError


def allowed_classes(
    labels: Sequence[str],
    class_map: Mapping[str, Iterable[str]],
    classes: Sequence[str],
    source: object,
) -> Tensor:
    """Return which of the model's classes each label may be.

    Args:
        labels: Names that occur in a label set.
        class_map: Label to the model's classes, or to ``ANY``.
        classes: The model's classes.
        source: What error messages name.

    Returns:
        (L, K) bool.

    Raises:
        UserError: A label is not in the map, or the map names a class the model does not have.
    """
    known = ", ".join(classes)
    for label, names in class_map.items():
        unknown = [n for n in names if n not in classes and n != ANY]
        if unknown:
            raise UserError(
                f"The class map of {source} says {label!r} may be {unknown[0]!r}, which the model"
                f" does not have ({known})."
            )
    missing = [label for label in labels if label not in class_map]
    if missing:
        raise UserError(
            f"{source} holds the class {missing[0]!r}, of which its class map does not say what it"
            f" may be: one or more of {known}, or {ANY!r} for any."
        )
    return torch.tensor(
        [allows(class_map[label], classes) for label in labels], dtype=torch.bool
    ).reshape(len(labels), len(classes))
