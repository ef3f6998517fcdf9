"""The features of the points, of which napari's table, or the console, may change the class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from muse_core.array_types import Mask
from muse_core.errors import UserError
from muse_core.nuclei.named import named
from napari_muse.annotations.slide_annotations import SlideAnnotations
from napari_muse.layers.point_style import point_features
from napari_muse.napari_compat import set_quietly

_CLASS = "class"


class FeatureTable:
    """Writes the features of a layer, and takes over classes that a person has given in them.

    napari's table writes into them without an event, so that someone has to look.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._known: pd.DataFrame = layer.features.copy()

    def write(self, nuclei: SlideAnnotations, rows: Any) -> None:
        """Give the layer the features of (n,) rows, one for each of its points."""
        self._known = point_features(nuclei, rows)
        set_quietly(self._layer, "features", self._known.copy())
        # For napari's table, which would show those of other nuclei.
        self._layer.events.features()

    def take(self, nuclei: SlideAnnotations, rows: Any) -> None:
        """Take over classes given since; what else is changed stays until the next write.

        Args:
            nuclei: Of the slide. Those that were changed otherwise since stay as they are.
            rows: (n,) as :meth:`write` got them.

        Raises:
            UserError: Something else was changed, there is no such class, or it cannot be saved.
        """
        before, now = self._known, self._layer.features
        if now.equals(before) or len(now) != len(before):
            return
        self._known = now.copy()
        if list(now) != list(before) or not now.drop(columns=_CLASS).equals(
            before.drop(columns=_CLASS)
        ):
            raise UserError("Of the features of nuclei only the class can be changed there.")
        old, new = (features[_CLASS].astype(object).to_numpy() for features in (before, now))
        changed = np.flatnonzero((old != new) & _as_shown(nuclei, rows))
        for name in dict.fromkeys(new[changed]):
            if name not in nuclei.scheme.names:
                raise UserError(
                    f"There is no {named('class', name)}; press “Edit …” at the classes to add it."
                )
            class_id = nuclei.class_ids[nuclei.scheme.index(name)]
            nuclei.set_class(rows["id"][changed[new[changed] == name]], class_id)


def _as_shown(nuclei: SlideAnnotations, rows: Any) -> Mask:
    """(n,) which nuclei still have the class and the status that they are shown with."""
    there, at = nuclei.find(rows["id"])
    now, shown = nuclei.rows[at], rows[there]
    there[there] = (now["class_id"] == shown["class_id"]) & (now["status"] == shown["status"])
    return there
