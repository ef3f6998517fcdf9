"""All uses of napari's private interface, in one place.

These may break with any release of napari. The nightly job runs the viewer tests against napari's
main branch, so that a change is noticed early. Written for napari 0.9.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari._qt.qt_main_window import _QtMainWindow
from napari.experimental import unlink_layers
from napari.layers import Points
from napari.layers.utils._link_layers import layer_is_linked
from napari.utils.key_bindings import coerce_keybinding
from qtpy.compat import isalive
from vispy.util.keys import Key

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtGui import QKeyEvent
    from qtpy.QtWidgets import QWidget


def unwrapped(viewer: ViewerModel) -> ViewerModel:
    """Return the viewer behind the proxy that napari hands to plugins.

    Uses ``__wrapped__`` of ``PublicOnlyProxy``: the layers of the proxy are proxies too, made anew
    with each access, while MUSE tells layers by identity.
    """
    real: ViewerModel = getattr(viewer, "__wrapped__", viewer)
    return real


def open_viewers() -> list[ViewerModel]:
    """Return the viewers of all windows that are open, of which napari names the current one alone.

    Uses ``_QtMainWindow._instances``.
    """
    return [window._qt_viewer.viewer for window in _QtMainWindow._instances]


def main_widget(viewer: ViewerModel) -> QWidget:
    """Return the widget that holds canvas and layer list and takes napari's keys.

    Uses ``Window._qt_viewer``, which has no public name.
    """
    widget: QWidget = viewer.window._qt_viewer
    return widget


def drop_targets(viewer: ViewerModel) -> tuple[QWidget, ...]:
    """Return the widgets that files are dropped on: the main one, and the welcome over its canvas.

    Uses ``Window._qt_viewer`` and its ``_welcome_widget``, which is shown while there is no layer
    and hands drops on without an event.
    """
    return main_widget(viewer), viewer.window._qt_viewer._welcome_widget


def open_as_dropped(viewer: ViewerModel, path: Path, plugin: str | None) -> None:
    """Open a file as napari does where it is dropped alone; raises whatever its reader raises.

    Uses ``Window._qt_viewer`` and its ``_qt_open``.

    Args:
        viewer: The viewer of the window.
        path: An existing file or folder.
        plugin: The plugin that is to read it. With None napari follows the user's preferences, and
            asks if there are none and several plugins can read it.
    """
    viewer.window._qt_viewer._qt_open([str(path)], stack=False, plugin=plugin)


def canvas_widget(viewer: ViewerModel) -> QWidget:
    """Return the Qt widget of the canvas, whose events are filtered and which gets the focus.

    Uses ``Window._qt_viewer.canvas.native``: the public ``viewer.canvas`` is a model without it.
    """
    widget: QWidget = viewer.window._qt_viewer.canvas.native
    return widget


@contextmanager
def drawn_once(viewer: ViewerModel) -> Iterator[None]:
    """Context in which layers are added, shown and hidden; napari draws once, at its end.

    For each of them napari goes through all layers and draws. Sets ``_pause_scene_graph`` of
    ``VispyCanvas``, as the public ``layers.batched_update`` does, which also collects garbage, for
    a quarter of a second.
    """
    canvas = _canvas_of(viewer)
    if canvas is None:
        yield
        return
    canvas._pause_scene_graph = True
    try:
        yield
    finally:
        canvas._pause_scene_graph = False
        canvas._update_scenegraph()


def _canvas_of(viewer: ViewerModel) -> Any:
    """Return the canvas; None for a viewer without a window."""
    window = getattr(viewer, "window", None)
    return getattr(getattr(window, "_qt_viewer", None), "canvas", None)


def is_closed(viewer: ViewerModel) -> bool:
    """Whether a viewer had a window that Qt has deleted; a change of its layers would be an error.

    Asks for the widget of ``Window._qt_viewer.canvas``, which is deleted with the window.
    """
    canvas = _canvas_of(viewer)
    return canvas is not None and not isalive(canvas.native)  # type: ignore[no-untyped-call]


def before_units_are_compared(viewer: ViewerModel, act: Callable[[], None]) -> None:
    """Call a function each time before napari compares the units of all layers.

    napari draws a new layer before it emits the event for it, and warns that its units differ,
    although a listener would make them agree an instant later. Wraps
    ``VispyCanvas._update_world_units``, which has no event; without a canvas or this method nothing
    is done, and napari warns.

    Args:
        viewer: Whose canvas.
        act: Makes units agree; must set nothing if they do already.
    """
    canvas = _canvas_of(viewer)
    compare = getattr(canvas, "_update_world_units", None)
    if canvas is None or compare is None:
        return

    def agree_and_compare() -> None:
        act()
        compare()

    canvas._update_world_units = agree_and_compare


def around_slicing(layer: Any, read: Callable[[Callable[[], None]], None]) -> None:
    """Have a function called each time napari reads what it is to draw of a layer.

    Wraps ``set_view_slice`` of the layer's ``_slicing_state``, which has no event: an error in it
    ends in a notification with a traceback at each step of the camera.

    Args:
        layer: The layer.
        read: Gets the function that reads; where that fails, what was read last stays drawn.
    """
    state = layer._slicing_state
    state.set_view_slice = partial(read, state.set_view_slice)


def layer_list_widget(viewer: ViewerModel) -> QWidget:
    """Return the Qt widget of the layer list, which takes letters as a search for a name.

    Uses ``Window._qt_viewer.layers``, which has no public name.
    """
    widget: QWidget = viewer.window._qt_viewer.layers
    return widget


def hand_key_to_napari(main: QWidget, event: QKeyEvent) -> None:
    """Let napari handle a key as if it had been pressed on the canvas.

    Args:
        main: As :func:`main_widget` gives it.
        event: The key press. ``keyPressEvent`` of a Qt widget is protected in C++; napari's own
            widget overrides it in Python, so that it can be called.
    """
    main.keyPressEvent(event)


class KeysReplaced:
    """Has napari hear of another key than was pressed, whichever widget has the focus.

    Sets ``_key`` and ``_modifiers`` of vispy's event before napari hears of it: all of napari's
    widgets hand their keys to the canvas, which knows none beyond ASCII.
    """

    def __init__(self, viewer: ViewerModel, other: Callable[[QKeyEvent], str | None]) -> None:
        """Replace.

        Args:
            viewer: Whose keys.
            other: Gives the capital letter, or the digit without a modifier, that is meant by a
                key; None where the key means itself.
        """
        self._other = other
        events = viewer.window._qt_viewer.canvas._scene_canvas.events
        self._emitters = (events.key_press, events.key_release)
        for emitter in self._emitters:
            emitter.connect(self._on_key)

    def close(self) -> None:
        """Let keys mean themselves."""
        for emitter in self._emitters:
            emitter.disconnect(self._on_key)

    def _on_key(self, event: Any) -> None:
        other = self._other(event.native) if event.native is not None else None
        if other is not None:
            event._key = Key(other)
            event._modifiers = () if other.isdigit() else event.modifiers


def own_action(providers: Sequence[Any], key: str) -> Callable[[], Any] | None:
    """Return napari's own binding of a key, of the first provider that has one.

    Reads ``class_keymap`` of layers and viewers: bindings of an instance hide those of its class,
    and napari has no public way to fall back to them.

    Args:
        providers: Layers or viewers, the one that is asked first at the beginning.
        key: In napari's spelling, such as ``"Control-C"``.

    Returns:
        A function to call when the key is released, or None.
    """
    binding = coerce_keybinding(key)
    for provider in providers:
        for cls in type(provider).__mro__:
            function = getattr(cls, "class_keymap", {}).get(binding)
            if not callable(function):
                continue
            result = function(provider)
            if not inspect.isgenerator(result):
                return result if callable(result) else None
            next(result, None)
            return lambda: next(result, None)
    return None


def unlink(layer: Any) -> bool:
    """Part a layer from those it is linked with, which take over what it is set to.

    Asks ``napari.layers.utils._link_layers``, for napari says nowhere else which layers are linked.

    Returns:
        Whether there were any.
    """
    linked: bool = layer_is_linked(layer)
    if linked:
        unlink_layers([layer])
    return linked


def is_drawing(layer: Any) -> bool:
    """Return whether a shape is being drawn in a layer, that is, begun and not complete.

    Uses ``Shapes._is_creating``, which has no public name; False for layers of other kinds.
    """
    return bool(getattr(layer, "_is_creating", False))


def symbols_of(names: Sequence[str]) -> npt.NDArray[Any]:
    """Return symbols as a Points layer keeps them, to be written by :func:`write_points`.

    napari converts strings one by one whenever symbols are set, which dominates the time for many
    points.

    Returns:
        (N,) array of objects.
    """
    symbols: npt.NDArray[Any] = Points(np.zeros((len(names), 2)), symbol=list(names)).symbol
    return symbols


def set_quietly(layer: Any, name: str, value: Any) -> None:
    """Set an attribute of a layer without events, and so without drawing.

    Each setter of a Points layer would upload all points and validate inconsistent intermediate
    states. Uses ``events.blocker_all``; the caller sets all related attributes and then calls
    ``layer.refresh``.
    """
    with layer.events.blocker_all():
        setattr(layer, name, value)


def write_points(layer: Any, values: Mapping[str, Any]) -> None:
    """Write into the per-point arrays of a Points layer, without drawing it.

    Relies on ``symbol``, ``size``, ``border_width``, ``border_color`` and ``face_color`` returning
    the layer's own arrays and not copies: the setters convert point by point and upload all points
    once for each of them. ``layer.refresh`` shows what was written.

    Args:
        layer: A Points layer with N points.
        values: By name of the array; each a scalar or an array with N rows.
    """
    for name, value in values.items():
        getattr(layer, name)[:] = value
