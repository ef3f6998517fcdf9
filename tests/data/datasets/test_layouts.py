"""Each data set read from a miniature folder in its published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from muse_core.data.datasets import find_dataset
from muse_core.data.points_folder import AnnotatedImage

from . import layouts


def _read(name: str, root: Path, split: str, fine: bool = False) -> list[AnnotatedImage]:
    return list(find_dataset(name, split).read(root, split, fine))


def _nuclei(image: AnnotatedImage) -> list[tuple[float, float, str]]:
    rows = zip(image.xy.tolist(), image.class_names, strict=True)
    return [(round(x, 3), round(y, 3), name) for (x, y), name in rows]


def test_brcam2c_coordinates_are_row_and_column(tmp_path: Path) -> None:
    (image,) = _read("brcam2c", layouts.brcam2c(tmp_path), "train")
    assert image.name == layouts.BRCAM2C_NAME
    assert (image.image.shape, image.mpp) == ((40, 60, 3), 0.5)
    assert _nuclei(image) == [
        (50.5, 5.5, "lymphocyte"),
        (0.5, 39.5, "tumor"),
        (11.5, 10.5, "stromal"),
    ]


def test_ocelot_leaves_out_what_was_not_annotated(tmp_path: Path) -> None:
    first, second = _read("ocelot", layouts.ocelot(tmp_path), "train")
    assert _nuclei(first) == [(3.5, 40.5, "other"), (10.5, 20.5, "tumor")]
    assert (second.name, len(second.xy), second.mpp) == ("002", 0, 0.2)
    assert [i.name for i in _read("ocelot", tmp_path, "val")] == ["400"]


def test_puma_outlines_become_centres_in_coarse_or_fine_classes(tmp_path: Path) -> None:
    (image,) = _read("puma", layouts.puma(tmp_path), "val")
    places = [(12.0, 22.0), (32.0, 10.0), (42.0, 42.0), (52.0, 52.0)]
    coarse = ["tumor", "other", "lymphocyte", "lymphocyte"]
    assert _nuclei(image) == [(*xy, n) for xy, n in zip(places, coarse, strict=True)]
    (image,) = _read("puma", tmp_path, "all", fine=True)
    assert image.class_names == ("tumor", "plasma_cell", "lymphocyte", "lymphocyte")
    np.testing.assert_array_equal(image.image.shape, (64, 64, 3))


def test_consep_masks_become_centres_of_the_commonest_class(tmp_path: Path) -> None:
    (image,) = _read("consep", layouts.consep(tmp_path), "train")
    # The block's pixels have centres 10.5 to 13.5 and 5.5 to 6.5.
    assert _nuclei(image) == [(12.0, 6.0, "inflammatory"), (21.25, 20.75, "stromal")]
    (image,) = _read("consep", tmp_path, "train", fine=True)
    assert image.class_names == ("inflammatory", "fibroblast")


def test_pannuke_channels_become_classes(tmp_path: Path) -> None:
    first, second = _read("pannuke", layouts.pannuke(tmp_path), "fold1")
    assert _nuclei(first) == [(8.0, 3.0, "neoplastic"), (21.0, 21.0, "epithelial")]
    assert (second.name, len(second.xy)) == ("fold1_00001", 0)
    assert first.image.dtype == np.uint8


@pytest.mark.parametrize("name", ["brcam2c", "ocelot", "puma", "consep", "pannuke"])
def test_nuclei_lie_inside_their_images(name: str, tmp_path: Path) -> None:
    root = getattr(layouts, name)(tmp_path)
    split = {"puma": "val", "pannuke": "fold1"}.get(name, "train")
    for image in _read(name, root, split):
        height, width = image.image.shape[:2]
        assert ((image.xy > 0) & (image.xy < (width, height))).all()
