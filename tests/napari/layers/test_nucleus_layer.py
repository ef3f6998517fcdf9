"""What scripts and the console do to the layer of nuclei."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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
