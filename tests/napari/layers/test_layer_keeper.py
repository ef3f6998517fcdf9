"""napari's layer list: the effect of its keys, its bin and its menus on MUSE's layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari._app_model import get_app_model
from qtpy.QtCore import Qt

from napari_muse.annotations.new_regions import mark_reviewed
from napari_muse.layers.slide_layers import slide_layers
from napari_muse.napari_compat import layer_list_widget, main_widget
from napari_muse.panels.muse_panel import MusePanel

from ..actions import press, use_window

CTRL = Qt.KeyboardModifier.ControlModifier


def _bin(panel: MusePanel) -> Any:
    return main_widget(panel.session.viewer).layerButtons.deleteButton  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", [Qt.Key.Key_Delete, Qt.Key.Key_Backspace])
def test_keys_in_the_list_remove_no_layer_of_muse(
    opened: MusePanel, qtbot: Any, key: Qt.Key
) -> None:
    session, layers = opened.session, opened.session.viewer.layers
    mark_reviewed(session.annotations, session.visible_region())
    use_window(opened, qtbot)
    listed = layer_list_widget(session.viewer)
    listed.setFocus()
    there = list(layers)
    assert [layer.name for layer in there] == ["small.tif", "Regions", "Nuclei"]
    for layer in there:
        layers.selection.active = layer
        opened.status.say("")
        qtbot.keyClick(listed, key)
        assert f"{layer.name} is MUSE's and stays" in opened.status.text()
    qtbot.keyClick(listed, Qt.Key.Key_A, CTRL)
    assert len(layers.selection) == 3
    qtbot.keyClick(listed, key)
    qtbot.wait(50)
    assert list(layers) == there
    own = session.viewer.add_points([[1, 1]], name="own")
    layers.selection.active = own
    qtbot.keyClick(listed, key)
    assert list(layers) == there, "others are removed as always"


def test_the_bin_closes_the_slide_and_says_so(
    opened: MusePanel, qtbot: Any, small_slide: Path
) -> None:
    session, layers = opened.session, opened.session.viewer.layers
    mark_reviewed(session.annotations, session.visible_region())
    for layer in list(layers)[1:]:
        layers.selection = {layer}
        qtbot.mouseClick(_bin(opened), Qt.MouseButton.LeftButton)
        qtbot.wait(50)
        assert layer in layers
    layers.selection = {session.image_layer}
    qtbot.mouseClick(_bin(opened), Qt.MouseButton.LeftButton)
    assert session.slide is None
    assert opened.status.text() == (
        "small.tif was closed. Its nuclei are kept; open it again to go on."
    )
    session.viewer.open(small_slide, plugin="napari-muse")
    qtbot.wait(50)
    assert len(session.annotations.to_table()) == 3
    assert [layer.name for layer in layers] == ["small.tif", "Regions", "Nuclei"]


def test_a_scripts_removal_of_what_lies_on_the_slide_is_undone(
    opened: MusePanel, qtbot: Any
) -> None:
    session, layers = opened.session, opened.session.viewer.layers
    mark_reviewed(session.annotations, session.visible_region())
    for name in ("Regions", "Nuclei"):
        layers.remove(name)
        qtbot.waitUntil(lambda name=name: name in layers, timeout=2000)
    assert len(layers["Regions"].data) == 1


@pytest.mark.parametrize("which", ["slide", "nuclei"])
def test_the_slide_never_covers_its_nuclei(opened: MusePanel, qtbot: Any, which: str) -> None:
    session, layers = opened.session, opened.session.viewer.layers
    mark_reviewed(session.annotations, session.visible_region())
    if which == "slide":
        layers.move(layers.index(session.image_layer), len(layers))
    else:
        layers.move(layers.index(session.nuclei.layer), 0)
    qtbot.waitUntil(lambda: "on top of it again" in opened.status.text(), timeout=2000)
    assert [layer.name for layer in layers] == ["small.tif", "Regions", "Nuclei"]


def test_copies_of_muses_layers_are_taken_away(opened: MusePanel, qtbot: Any) -> None:
    session, layers = opened.session, opened.session.viewer.layers
    for layer, why in ((session.nuclei.layer, "one layer"), (session.image_layer, "open already")):
        layers.selection = {layer}
        get_app_model().commands.execute_command("napari.layer.duplicate").result()
        qtbot.waitUntil(lambda: len(layers) == 2, timeout=2000)
        assert why in opened.status.text()
        assert list(layers) == [session.image_layer, session.nuclei.layer]


def test_a_picture_is_closed_with_the_last_of_its_layers(panel: MusePanel, qtbot: Any) -> None:
    session, layers = panel.session, panel.session.viewer.layers
    told: list[str] = []
    session.told.connect(told.append)
    pixels = np.zeros((60, 80, 3), np.uint8)
    field = session.viewer.add_image(pixels, rgb=True, name="field", scale=(0.5, 0.5), units="um")
    qtbot.waitUntil(lambda: session.slide is not None, timeout=5000)
    layers.selection = {field}
    get_app_model().commands.execute_command("napari.layer.duplicate").result()
    qtbot.waitUntil(lambda: len(slide_layers(session.viewer)) == 2, timeout=5000)
    layers.remove("field copy")
    qtbot.wait(50)
    assert session.image_layer is layers["field"]
    assert told == []
    layers.remove("field")
    assert told == ["field was closed. Its nuclei are kept; open it again to go on."]


def test_linking_slides_with_each_other_and_with_nuclei_does_nothing(
    opened: MusePanel, qtbot: Any, small_slide: Path
) -> None:
    session, layers = opened.session, opened.session.viewer.layers
    first = session.image_layer
    second_file = small_slide.with_name("second.tif")
    second_file.write_bytes(small_slide.read_bytes() + b" ")
    session.viewer.open(second_file, plugin="napari-muse")
    own = session.viewer.add_image(np.zeros((30, 40)), name="own")
    second, nuclei = session.image_layer, session.nuclei.layer
    assert second is not first
    for linked in ({first, second}, {second, nuclei, own}):
        layers.selection = linked
        get_app_model().commands.execute_command("napari.layer.link_selected_layers").result()
        assert "is linked with no other" in opened.status.text()
        for shown, other in ((first, second), (second, first)):
            layers.selection.active = shown
            qtbot.wait(50)
            assert session.image_layer is shown
            assert (shown.visible, other.visible, nuclei.visible) == (True, False, True)
    press(opened, qtbot, Qt.Key.Key_V)
    assert (second.visible, nuclei.visible, own.visible) == (True, False, True)


def test_channels_of_a_slide_are_no_slides(opened: MusePanel, qtbot: Any) -> None:
    session, layers = opened.session, opened.session.viewer.layers
    layers.selection = {session.image_layer}
    get_app_model().commands.execute_command("napari.layer.split_rgb").result()
    qtbot.wait(50)
    assert session.slide is None
    assert slide_layers(session.viewer) == []
    assert "was closed" in opened.status.text()


def test_the_status_bar_offers_muses_keys(opened: MusePanel, qtbot: Any) -> None:
    session = opened.session
    mark_reviewed(session.annotations, session.visible_region())
    for layer in session.viewer.layers:
        session.viewer.layers.selection.active = layer
        for mode in ("transform", "pan_zoom"):
            layer.mode = mode
            qtbot.wait(20)
            assert "use <" not in session.viewer.help
            assert "Space confirm" in session.viewer.help
