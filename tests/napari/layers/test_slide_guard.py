"""The slide stays below its nuclei, however it is moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_muse.annotations.new_regions import mark_reviewed
from napari_muse.panels.muse_panel import MusePanel


def _places(panel: MusePanel) -> list[Any]:
    session = panel.session
    return [
        np.array(getattr(layer, name))
        for layer in (session.image_layer, session.nuclei.layer)
        for name in ("scale", "translate", "rotate", "shear", "affine")
    ]


@pytest.mark.parametrize("which", ["slide", "nuclei"])
def test_what_is_moved_is_put_back_and_said(opened: MusePanel, qtbot: Any, which: str) -> None:
    session = opened.session
    layer = session.image_layer if which == "slide" else session.nuclei.layer
    before = _places(opened)
    moves = {
        "translate": (5, 5), "scale": (2, 2), "rotate": 30, "shear": [0.5],
        "affine": np.array([[0, -1, 3], [1, 0, 4], [0, 0, 1]]),
    }  # fmt: skip
    for name, value in moves.items():
        opened.status.say("")
        setattr(layer, name, value)
        assert "stays where it is" in opened.status.text(), name
        for place, was in zip(_places(opened), before, strict=True):
            np.testing.assert_array_equal(place, was)


def test_no_layer_of_muse_can_be_taken_by_the_transform_tool(opened: MusePanel, qtbot: Any) -> None:
    viewer = opened.session.viewer
    mark_reviewed(opened.session.annotations, opened.session.visible_region())
    for layer in list(viewer.layers):
        viewer.layers.selection.active = layer
        layer.mode = "transform"
        qtbot.wait(20)
        assert str(layer.mode) == "pan_zoom"


@pytest.mark.usefixtures("make_napari_viewer")  # cameras of a grid cannot be reset
def test_buttons_that_turn_or_spread_layers_are_undone(opened: MusePanel, qtbot: Any) -> None:
    viewer = opened.session.viewer
    buttons = viewer.window._qt_viewer.viewerButtons
    for button in (buttons.transposeDimsButton, buttons.gridViewButton, buttons.ndisplayButton):
        opened.status.say("")
        button.click()
        qtbot.waitUntil(lambda: "from above" in opened.status.text(), timeout=2000)
        assert viewer.dims.order == (0, 1)
        assert viewer.dims.ndisplay == 2
        assert not viewer.canvas.grid.enabled
    viewer.layers.remove(opened.session.image_layer)
    buttons.gridViewButton.click()
    qtbot.wait(20)
    assert viewer.canvas.grid.enabled, "without a slide napari is as it is"


def test_a_slide_with_regions_opens_where_three_dimensions_were_shown(
    opened: MusePanel, small_slide: Path
) -> None:
    session = opened.session
    session.annotations.add_region([(0, 0), (90, 0), (90, 90)], reviewed=True)
    session.viewer.layers.remove(session.image_layer)
    session.viewer.dims.ndisplay = 3
    session.viewer.open(small_slide, plugin="napari-muse")
    assert session.viewer.dims.ndisplay == 2
    assert len(session.viewer.layers["Regions"].data) == 1
    assert len(session.nuclei.layer.data) == 3


def test_a_scale_given_in_the_panel_is_kept(opened: MusePanel) -> None:
    opened.session.set_mpp(0.25)
    assert tuple(opened.session.image_layer.scale) == (0.25, 0.25)
    assert tuple(opened.session.nuclei.layer.scale) == (0.25, 0.25)
    opened.session.image_layer.scale = (1, 1)
    assert tuple(opened.session.image_layer.scale) == (0.25, 0.25)
    assert opened.status.text().startswith("The slide stays")
