"""A mostly empty slide (MRXS): files from and for QuPath match its nuclei in the window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from muse_core.nuclei import ClassScheme, read_nuclei
from napari_muse.panels.muse_panel import MusePanel

from ..slides.slide_files import write_mrxs

pytest.importorskip("openslide")
AT = np.array([2560.0, 7680.0])
FIRST = AT + np.array([100.0, 50.0])


@pytest.fixture
def mrxs(panel: MusePanel, tmp_path: Path) -> Path:
    """An MRXS with tissue of 512 px, open in the window; a nucleus at (100, 50) of its area."""
    tissue = np.full((512, 512, 3), (235, 200, 220), np.uint8)
    path = write_mrxs(tmp_path / "m.mrxs", [tissue, tissue[::2, ::2]], (10, 30), 0.5)
    panel.session.viewer.open(path, plugin="napari-muse")
    annotations = panel.session.annotations
    annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte"]))
    x, y = FIRST
    annotations.append([x], [y], [1], [0.9], "m", 6.0)
    corners = [tuple(AT + c) for c in ((10.0, 10.0), (60.0, 10.0), (60.0, 60.0))]
    annotations.add_region(corners, reviewed=True, name="field")
    return path


def of_qupath(path: Path, *places: tuple[float, float]) -> Path:
    """Detections as QuPath exports them: relative to the scanned area, without saying so."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": list(place)},
            "properties": {"objectType": "detection", "classification": {"name": "tumor"}},
        }
        for place in places
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def settle(panel: MusePanel, qtbot: Any) -> str:
    qtbot.waitUntil(lambda: not panel.export.busy, timeout=20_000)
    return str(panel.export.message.text())


def test_what_is_saved_counts_from_the_scanned_area(
    panel: MusePanel, mrxs: Path, tmp_path: Path, qtbot: Any
) -> None:
    out = tmp_path / "o.geojson"
    panel.export.save(out)
    assert "1 nucleus saved" in settle(panel, qtbot)
    read = read_nuclei(out)
    assert read.origin_px == tuple(AT)
    assert read.table[["x", "y"]].to_numpy().tolist() == [[100, 50]]
    assert read.regions[0].vertices == ((10, 10), (60, 10), (60, 60))
    # Import into the same slide again: the nucleus is already there.
    panel.export.load(out)
    settle(panel, qtbot)
    assert panel.session.annotations.to_table()[["x", "y"]].to_numpy().tolist() == [FIRST.tolist()]


def _back_from_qupath(saved: Path, path: Path, more: list[list[float]]) -> Path:
    """Regions as rewritten by QuPath: two decimals, another first corner, no metadata of ours."""
    (region,) = [f for f in json.loads(saved.read_text())["features"] if _is_region(f)]
    (ring,) = region["geometry"]["coordinates"]
    turned = [*ring[1:-1], ring[0], ring[1]]
    region["geometry"]["coordinates"] = [[[round(c, 2) for c in corner] for corner in turned]]
    new = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [more]},
        "properties": {"objectType": "annotation", "name": "new"},
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [region, new]}))
    return path


def _is_region(feature: dict[str, Any]) -> bool:
    return bool(feature["geometry"]["type"] == "Polygon")


@pytest.mark.parametrize("through_qupath", [False, True])
def test_a_drawn_region_is_not_taken_twice(
    panel: MusePanel, mrxs: Path, tmp_path: Path, qtbot: Any, through_qupath: bool
) -> None:
    annotations = panel.session.annotations
    annotations.delete_region(int(annotations.regions()["id"][0]))
    # As drawn by hand, with all digits.
    corners = AT + np.random.default_rng(0).uniform(100, 400, (5, 2))
    annotations.add_region([tuple(c) for c in corners], reviewed=True, name="drawn")
    out = tmp_path / "o.geojson"
    panel.export.save(out)
    settle(panel, qtbot)
    square = [[20.0, 30.0], [80.0, 30.0], [80.0, 90.0], [20.0, 90.0], [20.0, 30.0]]
    panel.export.load(
        _back_from_qupath(out, tmp_path / "q.geojson", square) if through_qupath else out
    )
    settle(panel, qtbot)
    found = annotations.regions()
    assert found["name"].tolist() == ["drawn", "new"][: 1 + through_qupath]
    np.testing.assert_array_equal(found["vertices"][0], corners)
    if through_qupath:
        np.testing.assert_array_equal(np.array(found["vertices"][1]) - AT, square[:4])


def test_a_file_of_qupath_lands_on_the_tissue(
    panel: MusePanel, mrxs: Path, tmp_path: Path, qtbot: Any
) -> None:
    panel.export.load(of_qupath(tmp_path / "q.geojson", (300.5, 200.25), (10, 20)))
    said = settle(panel, qtbot)
    assert "2 nuclei taken over" in said
    assert "counted from x 2560, y 7680 of the slide" in said
    found = panel.session.annotations.to_table().sort_values("x")[["x", "y"]].to_numpy()
    assert (found - AT).tolist() == [[10, 20], [100, 50], [300.5, 200.25]]


def test_so_does_one_that_is_opened_as_a_file(panel: MusePanel, mrxs: Path, tmp_path: Path) -> None:
    path = of_qupath(tmp_path / "q.geojson", (300.5, 200.25))
    panel.session.viewer.open(path, plugin="napari-muse")
    found = panel.session.annotations.to_table().sort_values("x")[["x", "y"]].to_numpy()
    assert (found - AT).tolist() == [[100, 50], [300.5, 200.25]]


def test_napari_saves_the_layer_as_files_are_exchanged(
    panel: MusePanel, mrxs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "layer.csv"
    panel.session.nuclei.layer.save(str(out), plugin="napari-muse")
    saved = pd.read_csv(out)
    assert saved[["x_px", "y_px"]].to_numpy().tolist() == [[100, 50]]
    assert saved[["origin_x_px", "origin_y_px"]].to_numpy().tolist() == [AT.tolist()]
