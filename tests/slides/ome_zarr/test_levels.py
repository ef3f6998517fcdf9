"""Which levels of an OME-Zarr count, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from muse_core.errors import UserError
from muse_core.slides import open_slide

from ..slide_files import write_ome_zarr


def test_the_interval_of_time_says_nothing_about_the_order_of_levels(
    tmp_path: Path, halves: list[np.ndarray]
) -> None:
    # ngff-zarr has written the factors of t and c at the first level, and 1 at the others.
    group = zarr.open_group(str(tmp_path / "s.zarr"), mode="w", zarr_format=2)
    for index, half in enumerate(halves):
        group.create_array(str(index), data=np.moveaxis(half, 2, 0)[None])
    names = {"t": "time", "c": "channel", "y": "space", "x": "space"}
    datasets: list[Any] = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for i, scale in enumerate([[60, 1, 0.5, 0.5], [1, 1, 1.0, 1.0], [1, 1, 2.0, 2.0]])
    ]
    axes: list[Any] = [
        {"name": name, "type": kind, **({"unit": "micrometer"} if kind == "space" else {})}
        for name, kind in names.items()
    ]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    with open_slide(tmp_path / "s.zarr") as slide:
        assert slide.mpp == 0.5
        assert np.array_equal(slide.levels[0].compute(), halves[0])


@pytest.mark.parametrize("kind", ["crop", "padded", "elsewhere"])
def test_a_level_that_shows_something_else_is_left_out(
    tmp_path: Path, halves: list[np.ndarray], kind: str
) -> None:
    half, side = halves[1], 100
    levels = {
        "crop": half[20 : 20 + half.shape[0] * 4 // 5, 30 : 30 + half.shape[1] * 4 // 5],
        "padded": np.pad(half, ((0, side), (0, side * half.shape[1] // half.shape[0]), (0, 0))),
        "elsewhere": half,
    }
    path = write_ome_zarr(tmp_path / "s.zarr", [halves[0], levels[kind], halves[2]])
    group = zarr.open_group(str(path), mode="r+")
    multiscales: Any = group.attrs["multiscales"]
    scales = [
        t["scale"] for d in multiscales[0]["datasets"] for t in d["coordinateTransformations"]
    ]
    # What the writer of this test states for each level is what a whole one would have.
    assert [s[-1] / scales[0][-1] for s in scales] == [1.0, 2.0, 4.0]
    if kind == "elsewhere":
        moved = {"type": "translation", "translation": [0.0] * (len(scales[0]) - 1) + [60.0]}
        multiscales[0]["datasets"][1]["coordinateTransformations"].append(moved)
        group.attrs["multiscales"] = multiscales
    with open_slide(path) as slide:
        assert slide.downsamples == (1.0, 4.0)
        assert np.array_equal(slide.levels[1].compute(), halves[2])


def test_centres_of_coarser_pixels_lie_further_in(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves)
    group = zarr.open_group(str(path), mode="r+")
    multiscales: Any = group.attrs["multiscales"]
    for dataset, start in zip(multiscales[0]["datasets"], (0.0, 0.25, 0.75), strict=True):
        transforms = dataset["coordinateTransformations"]
        n = len(transforms[0]["scale"])
        transforms.append({"type": "translation", "translation": [start] * n})
    group.attrs["multiscales"] = multiscales
    with open_slide(path) as slide:
        assert slide.downsamples == (1.0, 2.0, 4.0)


def test_axes_of_a_later_version_are_not_guessed(tmp_path: Path, halves: list[np.ndarray]) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", halves, "0.5")
    group = zarr.open_group(str(path), mode="r+")
    metadata: Any = group.attrs["ome"]
    entry = metadata["multiscales"][0]
    entry["coordinateSystems"] = [{"name": "physical", "axes": entry.pop("axes")}]
    group.attrs["ome"] = metadata
    with pytest.raises(UserError, match=r"^OME-Zarr 0\.6 cannot be read; save it as 0\.5\.$"):
        open_slide(path)
