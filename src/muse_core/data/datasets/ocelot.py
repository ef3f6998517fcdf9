"""OCELOT 1.0.1 (Ryu et al., CVPR 2023): cell patches of six organs with centres in two classes.

Layout: ``metadata.json``, ``images/SPLIT/cell/ID.jpg`` and ``annotations/SPLIT/cell/ID.csv`` with
lines "x,y,class".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from muse_core.data.datasets.source import (
    Dataset,
    annotated,
    names_of_classes,
    need,
    read_image,
    read_json,
    read_point_rows,
)
from muse_core.data.points_folder import AnnotatedImage
from muse_core.errors import UserError

_CLASSES = {1: "other", 2: "tumor"}


def read_ocelot(folder: Path, split: str, fine: bool) -> Iterator[AnnotatedImage]:
    """Cell patches of a split, by their number; there are no finer classes.

    Patches without a CSV hold no annotation and are left out; an empty CSV says no cell is there.
    """
    metadata = need(folder / "metadata.json", "OCELOT")
    for name, mpp in _patches(read_json(metadata), metadata, split):
        labels = folder / "annotations" / split / "cell" / f"{name}.csv"
        if not labels.is_file():
            continue
        xy, kinds = read_point_rows(labels, ",")
        pixels = read_image(need(folder / "images" / split / "cell" / f"{name}.jpg", "OCELOT"), mpp)
        # Coordinates are indices of pixels; a pixel's centre lies half a pixel further.
        yield annotated(name, pixels, xy + 0.5, names_of_classes(kinds, _CLASSES, labels), mpp)


def _patches(content: Any, path: Path, split: str) -> list[tuple[str, float]]:
    try:
        pairs: Mapping[str, Any] = content["sample_pairs"]
        return sorted(
            (str(name), float(pair["cell"]["resized_mpp_x"]))
            for name, pair in pairs.items()
            if pair["subset"] == split
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} does not describe OCELOT's sample pairs: {error!r}.") from error


OCELOT = Dataset("ocelot", ("train", "val", "test"), 0.2, read_ocelot, "Ryu et al., CVPR 2023")
