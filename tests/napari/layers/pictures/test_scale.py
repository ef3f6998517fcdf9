"""Scale and position of an image of the window: from its layer, typed, changed later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from muse_core.nuclei import ClassScheme
from muse_core.slides import Region
from napari_muse.panels.muse_panel import MusePanel

from ...actions import click, press
from .console import RGB, listed


@pytest.mark.parametrize("unit", ["pixel", "um", "mm"])
def test_napari_does_not_warn_of_units(
    panel: MusePanel, add: Callable[..., Any], unit: str, qtbot: Any
) -> None:
    notification_manager.records.clear()
    grey = add(RGB[:, :, 0], name="grey", units=(unit, unit))
    qtbot.wait(100)
    add(RGB, name="console", scale=(0.5, 0.5), units=(unit, unit))
    qtbot.wait(100)
    panel.session.viewer.layers.remove(grey)
    qtbot.wait(100)
    assert panel.session.slide is not None
    assert not [n.message for n in notification_manager.records if "units" in n.message]


@pytest.mark.parametrize(
    ("settings", "mpp"),
    [
        ({"scale": (0.25, 0.25), "units": ("um", "um")}, 0.25),
        ({"scale": (0.0005, 0.0005), "units": ("mm", "mm")}, 0.5),
        ({"scale": (250, 250), "units": ("nm", "nm")}, 0.25),
        ({"scale": (0.25, 0.2525), "units": ("um", "um")}, 0.25125),
        ({"scale": (0.25, 0.25)}, None),
        ({"scale": (2.0, 2.0), "units": ("pixel", "pixel")}, None),
        ({"scale": (1e-5, 1e-5), "units": ("um", "um")}, None),
    ],
)
def test_the_scale_is_that_of_the_layer_in_its_unit_and_never_guessed(
    panel: MusePanel, add: Callable[..., Any], settings: dict[str, Any], mpp: float | None
) -> None:
    layer = add(RGB, name="console", **settings)
    assert panel.session.mpp == (None if mpp is None else pytest.approx(mpp))
    assert tuple(layer.scale) == settings["scale"], "the layer stays as it was"
    assert {str(x.units[-1]) for x in panel.session.viewer.layers} == {str(layer.units[-1])}


def test_a_scale_without_a_unit_of_length_is_said_not_to_be_taken(
    panel: MusePanel, add: Callable[..., Any]
) -> None:
    add(RGB, name="console", scale=(0.25, 0.25))
    hint = panel.detect.scale.hint.text()
    assert "(its layer has the scale 0.25, but in the unit “pixel”)" in hint


def test_an_image_that_was_there_before_the_panel(
    make_napari_viewer: Callable[..., Any], qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(RGB[:, :, 0], name="grey")
    layer = viewer.add_image(RGB, name="console", scale=(0.5, 0.5))
    _, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    qtbot.waitUntil(lambda: panel.session.slide is not None, timeout=20_000)
    assert panel.session.image_layer is layer
    panel.close()
    viewer.window.remove_dock_widget("all")
    _, again = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
    assert again.session.image_layer is layer
    assert listed(again) == ["console", "grey"]
    again.close()


def test_a_typed_scale_holds_and_is_remembered_by_what_the_image_is(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    layer = add(RGB, name="console")
    field = panel.detect.mpp
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "0,5")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert panel.session.mpp == 0.5
    assert layer.scale.tolist() == [1.0, 1.0], "whoever lays other layers on it finds it there"
    panel.session.viewer.layers.remove(layer)
    qtbot.wait(50)
    assert panel.session.slide is None
    add(da.from_array(RGB, chunks=(100, 100, 3)), name="the same")
    assert panel.session.mpp == 0.5
    assert "as you entered it before" in panel.status.text()


def test_nuclei_lie_on_an_image_that_is_scaled_and_moved(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    add(RGB, scale=(0.0005, 0.0005), units=("mm", "mm"), translate=(7.0, -3.0))
    session = panel.session
    session.annotations.adopt_scheme(ClassScheme.from_names(["lymphocyte", "tumor"]))
    session.annotations.append([100, 200], [100, 150], [1, 1], [0.9, 0.8], "m", 6.0)
    session.viewer.reset_view()
    session.nuclei.refresh()
    qtbot.wait(100)
    world = session.nuclei.layer.data_to_world(session.nuclei.layer.data[0])
    assert world == pytest.approx((7.0 + 99.5 * 0.0005, -3.0 + 99.5 * 0.0005))
    click(panel, qtbot, 200, 150)
    assert session.nuclei.selected_ids.tolist() == [2]
    press(panel, qtbot, Qt.Key.Key_2)
    assert session.annotations.to_table()["class_name"].tolist() == ["lymphocyte", "tumor"]
    seen = session.visible_region()
    assert (seen.x, seen.y, seen.w, seen.h) == pytest.approx((0, 0, 400, 300), abs=1e-6)
    session.show_area(Region(100, 50, 40, 20))
    assert session.visible_region().intersect(Region(100, 50, 40, 20)) == Region(100, 50, 40, 20)
    press(panel, qtbot, Qt.Key.Key_R)
    assert len(session.annotations.regions()) == 1
    (layer,) = [x for x in session.viewer.layers if x.name == "Regions"]
    corner = layer.data_to_world(layer.data[0][0])
    x, y = session.placement.from_world([corner])
    assert Region(0, 0, 400, 300).contains(x, y).all()


def test_a_scale_that_is_set_later_is_followed(
    panel: MusePanel, add: Callable[..., Any], qtbot: Any
) -> None:
    layer = add(RGB, name="console")
    session = panel.session
    assert session.mpp is None
    layer.scale = (0.5, 0.5)
    assert session.mpp is None
    layer.units = ("um", "um")
    assert session.mpp == 0.5
    assert session.nuclei.layer.scale.tolist() == [0.5, 0.5]
    layer.translate = (10.0, 20.0)
    assert session.nuclei.layer.translate.tolist() == [10.0, 20.0]
    layer.scale = (0.5, 0.25)
    assert layer.scale.tolist() == [0.5, 0.5]
    assert "not square" in panel.status.text()
    layer.rotate = 30
    qtbot.wait(50)
    assert np.allclose(layer.rotate, np.eye(2))
    assert "The slide stays where it is" in panel.status.text()
