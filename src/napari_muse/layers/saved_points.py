"""What napari's own writers save of the layer of nuclei: all of them, not those in view."""

from __future__ import annotations

from typing import Any

from napari_muse.annotations.coordinates import to_layer
from napari_muse.annotations.stored_nuclei import StoredNuclei
from napari_muse.io.reader import LayerTuple
from napari_muse.layers.point_style import point_features

_OF_POINTS = (
    "symbol", "border_width", "border_color", "face_color", "size", "shown", "feature_defaults",
    "property_choices",
)  # fmt: skip
"""Settings with a value for each point that is drawn, or that follow from such."""


def all_points(layer: Any, nuclei: StoredNuclei) -> LayerTuple:
    """Return the layer as napari hands it to writers, with a point for each nucleus.

    Args:
        layer: Shows those in view, or none of them if they are very many.
        nuclei: Of the slide.

    Raises:
        UserError: They are still being read.
    """
    nuclei.require_read()
    _, settings, kind = type(layer).as_layer_data_tuple(layer)
    kept = {name: value for name, value in settings.items() if name not in _OF_POINTS}
    rows = nuclei.rows[nuclei.present]
    features = point_features(nuclei, rows)
    columns = {name: features[name].to_numpy() for name in features}
    whole = kept | {"features": features, "properties": columns}
    return to_layer(rows["x"], rows["y"]), whole, kind
