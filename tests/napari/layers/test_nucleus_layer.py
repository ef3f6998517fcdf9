"""What scripts and the console do to the layer of nuclei."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import npe2
import numpy as np
import pandas as pd
import pytest

from muse_core.nuclei import NucleusFile, Status, nucleus_table
from napari_muse.panels.muse_panel import MusePanel

from ..actions import click


@pytest.mark.parametrize("points", [[0, 1], [1, 2], [0, 1, 2, 2], []])
def test_other_points_in_place_of_the_nuclei_are_put_back(
    opened: MusePanel, qtbot: Any, points: list[int]
) -> None:
    nuclei, before = opened.session.nuclei, str(opened.session.annotations.rows)
    drawn = nuclei.layer.data.copy()
    nuclei.layer.data = drawn[points]
    # At once no click selects another nucleus than the one that is drawn there.
    assert nuclei.nearest(300, 200, 5) is None
    assert "they were put back" in opened.status.text()
    qtbot.waitUntil(lambda: np.array_equal(nuclei.layer.data, drawn))
    click(opened, qtbot, 300, 200)
    assert nuclei.selected_ids.tolist() == [3]
    assert str(opened.session.annotations.rows) == before


def test_points_that_are_nowhere_are_no_nuclei(opened: MusePanel, qtbot: Any) -> None:
    nuclei, before = opened.session.nuclei, str(opened.session.annotations.rows)
    drawn = nuclei.layer.data.copy()
    # napari's own thumbnail warns of them.
    with np.errstate(invalid="ignore"):
        nuclei.layer.data = np.where([[True], [False], [False]], np.nan, drawn)
    assert "beside the slide" in opened.status.text()
    qtbot.waitUntil(lambda: np.array_equal(nuclei.layer.data, drawn))
    assert str(opened.session.annotations.rows) == before


@pytest.mark.parametrize("n", [0, 7000])
@pytest.mark.parametrize("first", ["napari", "napari-muse"])
def test_a_csv_of_either_plugin_has_all_nuclei(
    opened: MusePanel, tmp_path: Path, qtbot: Any, n: int, first: str
) -> None:
    x, y = np.random.default_rng(0).uniform(0, 300, (2, n))
    opened.session.annotations.append(x, y, np.ones(n, int), np.ones(n), "m", 0.0)
    opened.session.annotations.delete([2])
    nuclei = opened.session.nuclei
    qtbot.waitUntil(lambda: len(nuclei.layer.data) == (0 if n else 2))
    opened.session.viewer.add_points([[7.0, 8.0]], name="other", properties={"size": [9]})
    find_first(first)
    opened.session.viewer.layers.save(str(tmp_path / "all"))
    (one,) = nuclei.layer.save(str(tmp_path / "one.csv"))
    # One row as each of them writes it: napari pixel centres, MUSE corners.
    expected = {
        "napari": [1, 199.5, 299.5, "lymphocyte", pytest.approx(0.7), "predicted"],
        "napari-muse": [3, 300, 200, 150, 100, "lymphocyte", pytest.approx(0.7), "predicted"],
    }[first]
    for path in (tmp_path / "all" / "Nuclei.csv", one):
        table = pd.read_csv(path)
        assert len(table) == n + 2
        assert table.iloc[1].tolist()[: len(expected)] == expected
    other = pd.read_csv(tmp_path / "all" / "other.csv")
    assert other.to_dict("list") == {"index": [0], "axis-0": [7], "axis-1": [8], "size": [9]}
    (own,) = nuclei.layer.save(str(tmp_path / "own.csv"), plugin="napari-muse")
    assert len(pd.read_csv(own)) == n + 2


def find_first(plugin: str) -> None:
    """Let this plugin be the first that npe2 asks; else the order of the disk decides."""
    plugins: Any = npe2.PluginManager.instance()
    for name in {"napari", "napari-muse"} - {plugin}:
        plugins._contrib.reindex(plugins.get_manifest(name))


def test_a_point_beside_a_slide_without_nuclei_does_not_stay(opened: MusePanel) -> None:
    session = opened.session
    session.annotations.delete([1, 2, 3])
    session.nuclei.refresh()
    session.nuclei.layer.add([-50.0, -50.0])
    assert "beside the slide" in opened.status.text()
    session.nuclei.refresh()
    assert len(session.nuclei.layer.data) == 0


def test_positions_written_by_the_console_are_taken_or_put_back(
    opened: MusePanel, qtbot: Any
) -> None:
    session, layer = opened.session, opened.session.nuclei.layer
    layer.data[0] = (120.5, 90.5)
    session.nuclei.select([3])
    assert (session.annotations.rows["x"][0], session.annotations.rows["y"][0]) == (91.0, 121.0)
    assert session.annotations.rows["status"].tolist() == [
        Status.CORRECTED, Status.PREDICTED, Status.PREDICTED
    ]  # fmt: skip
    session.nuclei.refresh()
    assert session.annotations.undo()
    assert not session.annotations.undo(), "it was one edit"
    session.nuclei.refresh()
    before = layer.data.copy()
    for place, reason in (((-900, 50), "beside the slide"), (before[2], "a nucleus here already")):
        layer.data[1] = place
        session.nuclei.refresh()
        assert reason in opened.status.text()
        qtbot.waitUntil(lambda: np.array_equal(layer.data, before), timeout=5000)
        assert session.annotations.rows["status"].tolist() == [Status.PREDICTED] * 3


def test_a_click_may_follow_at_once_on_an_undo_that_takes_classes_away(
    opened: MusePanel, qtbot: Any
) -> None:
    """The points are drawn anew a moment later, until then with classes that are gone."""
    session = opened.session
    imported = nucleus_table(np.array([20.0, 40.0]), np.array([20.0, 20.0]), ["new", "newer"])
    session.annotations.load(NucleusFile(imported))
    session.nuclei.refresh()
    session.annotations.undo()
    session.nuclei.select([1])
    assert session.nuclei.selected_ids.tolist() == [1]
    qtbot.waitUntil(lambda: len(session.nuclei.layer.data) == 3)


def test_the_opacity_of_hidden_nuclei_can_be_changed(opened: MusePanel) -> None:
    nuclei = opened.session.nuclei
    nuclei.layer.visible = False
    opened.session.annotations.delete([2, 3])
    nuclei.refresh()
    nuclei.layer.opacity = 0.5
    nuclei.layer.visible = True
    assert len(nuclei.layer.data) == 1
