from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Points, Shapes
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_muse.napari_compat import (
    KeysReplaced,
    canvas_widget,
    is_drawing,
    layer_list_widget,
    main_widget,
    own_action,
    set_quietly,
    symbols_of,
    unlink,
    unwrapped,
    write_points,
)


def test_widgets_of_a_window(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    main, canvas, layers = main_widget(viewer), canvas_widget(viewer), layer_list_widget(viewer)
    for widget in (main, canvas, layers):
        assert isinstance(widget, QWidget)
        assert viewer.window._qt_window.isAncestorOf(widget)
    # The canvas is the widget that is painted, of the size in the model; the list is elsewhere.
    assert (canvas.height(), canvas.width()) == tuple(viewer.canvas.size)
    assert not canvas.isAncestorOf(layers)


def test_the_viewer_behind_a_plugins_proxy() -> None:
    viewer = ViewerModel()
    viewer.add_points()
    proxy = PublicOnlyProxy(viewer)
    assert proxy.layers[0] is not viewer.layers[0]
    assert unwrapped(proxy) is viewer
    assert unwrapped(viewer) is viewer


def test_what_napari_binds_to_a_key_is_done_though_the_layer_binds_it_anew(
    make_napari_viewer: Any,
) -> None:
    viewer = make_napari_viewer()
    layer = viewer.add_points([[1, 2], [3, 4]])
    layer.bind_key("Control-A", lambda _: None, overwrite=True)
    assert own_action((layer, viewer), "Control-A") is None
    assert layer.selected_data == {0, 1}


def test_napari_hears_of_another_key_until_keys_mean_themselves_again(
    make_napari_viewer: Any, qtbot: Any
) -> None:
    viewer = make_napari_viewer()
    heard: list[str] = []
    for key in ("N", "M", "Shift-M", "1"):
        viewer.bind_key(key, lambda _, key=key: heard.append(key))
    replaced = KeysReplaced(viewer, lambda event: {"n": "M", "&": "1"}.get(event.text().lower()))
    shift = Qt.KeyboardModifier.ShiftModifier
    for key, modifier in (("n", Qt.KeyboardModifier.NoModifier), ("N", shift), ("&", shift)):
        qtbot.keyClick(canvas_widget(viewer), key, modifier)
    assert heard == ["M", "Shift-M", "1"]
    replaced.close()
    qtbot.keyClick(canvas_widget(viewer), "n")
    assert heard[3:] == ["N"]


def test_a_layer_is_parted_from_those_it_is_linked_with() -> None:
    viewer = ViewerModel()
    first, second = viewer.add_points(), viewer.add_points()
    assert not unlink(first)
    viewer.layers.link_layers([first, second])
    assert unlink(first)
    first.visible = False
    assert second.visible
    assert not unlink(second)


def test_a_key_that_is_held_ends_with_its_release(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer()
    layer = viewer.add_points([[1, 2]])
    layer.mode = "select"
    released = own_action((layer, viewer), "Space")
    assert str(layer.mode) == "pan_zoom"
    assert released is not None
    released()
    assert str(layer.mode) == "select"
    assert own_action((layer, viewer), "Control-F12") is None


def test_a_shape_begun_is_being_drawn() -> None:
    layer = Shapes()
    assert not is_drawing(layer)
    layer.mode = "add_polygon"
    layer._is_creating = True
    assert is_drawing(layer)
    assert not is_drawing(Points())


def test_points_are_written_at_once_and_without_events() -> None:
    layer = Points(np.zeros((2, 2)))
    seen: list[str] = []
    layer.events.connect(lambda event: seen.append(event.type))
    set_quietly(layer, "data", np.arange(6.0).reshape(3, 2))
    symbols = symbols_of(["disc", "square", "diamond"])
    colors = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0.5]])
    sizes = np.array([3.0, 4.0, 5.0])
    write_points(
        layer, {"symbol": symbols, "face_color": colors, "size": sizes, "border_width": 0.25}
    )
    assert seen == []
    # The data that napari draws from, and those it returns.
    assert [symbol.value for symbol in layer.symbol] == ["disc", "square", "diamond"]
    np.testing.assert_allclose(layer.face_color, colors)
    np.testing.assert_allclose(layer._view_face_color, colors)
    np.testing.assert_allclose(layer._view_size, sizes)
    np.testing.assert_allclose(layer.border_width, 0.25)
    assert layer.data.tolist() == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(AttributeError):
        write_points(layer, {"no such array": 1})
