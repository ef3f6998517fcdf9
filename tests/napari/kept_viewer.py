"""One napari window for all tests of a process that do not need one of their own.

Opening a window takes as long as most of these tests. After each test it is reset to its initial
state: what MUSE and the test have connected to it is disconnected, and every value of the viewer
is restored. What cannot be reset (a window left open, a process left running, a panel that stays
connected) is an error of the test, or of MUSE, and is reported there.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
from app_model import Application
from napari import Viewer
from napari._app_model._app import NapariApplication, _napari_names
from napari._qt._qapp_model.qactions import init_qactions
from napari._qt.qt_viewer import QtViewer
from napari.plugins import _initialize_plugins
from napari.settings import get_settings
from napari.utils.events import EmitterGroup, EventedModel
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QWidget

_APP = "kept"
_SIZE = (1400, 660)
"""As small as possible: without a graphics card drawing time grows with the pixels."""
_FOLLOWS = (("Canvas", "size"), ("Cursor", "position"))
"""Values that a viewer sets itself, from its window and the mouse."""
_OF_PANELS = ("napari_muse.interaction", "napari_muse.jobs", "napari_muse.panels")
_MOUSE = tuple(f"mouse_{kind}_callbacks" for kind in ("move", "wheel", "drag", "double_click"))


class KeptViewer:
    """Creates a viewer when needed, and keeps it."""

    def __init__(self) -> None:
        self._viewer: Any = None
        self._made = ExitStack()
        self._start: _State | None = None
        self._windows: set[QWidget] = set()
        self._processes: set[int] = set()
        self._settings: dict[str, Any] = {}
        self._style = ""

    def take(self, qtbot: Any) -> Any:
        """The viewer, shown and empty; it is drawn again when its updates are enabled.

        It has no style sheet, which Qt evaluates anew for each widget: a tenth of the time of these
        tests.
        """
        if self._viewer is None:
            get_settings().reset()
            self._make(qtbot)
        # napari collects all garbage when a layer is removed; existing objects are none.
        gc.collect()
        gc.freeze()
        self._viewer.window._qt_window.setUpdatesEnabled(False)
        self._viewer.window._qt_window.setStyleSheet("")
        self._windows = set(_visible_windows())
        self._processes = _processes()
        return self._viewer

    def style(self) -> None:
        """Let the window look as it does for a user, until it is reset."""
        if self._viewer is not None:
            self._viewer.window._qt_window.setStyleSheet(self._style)

    def put_back(self) -> list[str]:
        """Reset it; returns what a test has left that cannot be reset.

        If anything is left the viewer is closed, so that the next test gets a new one.
        """
        left = self._put_back()
        if left:
            self.close()
        return left

    def close(self) -> None:
        """Close the viewer, if there is one."""
        if self._viewer is None:
            return
        viewer, self._viewer, self._start = self._viewer, None, None
        get_settings().reset()
        if hasattr(viewer.window, "_qt_window"):
            with patch.object(viewer.window._qt_window, "_save_current_window_settings"):
                viewer.close()
        del viewer
        self._made.close()
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        QtViewer._instances.clear()

    def _make(self, qtbot: Any) -> None:
        """Do the same as napari's ``make_napari_viewer``."""
        _initialize_plugins.cache_clear()
        init_qactions.cache_clear()
        app = NapariApplication(_APP)
        app.injection_store.namespace = _napari_names
        self._made.callback(init_qactions.cache_clear)
        self._made.callback(_initialize_plugins.cache_clear)
        self._made.callback(Application.destroy, _APP)
        for target, name, value in (
            (NapariApplication, "get_app_model", lambda *_: app),
            (QtViewer, "_get_console", _no_console),
        ):
            self._made.enter_context(patch.object(target, name, value))
        self._made.enter_context(
            patch("napari._qt.threads.status_checker.StatusChecker.start", lambda *_: None)
        )
        self._viewer = Viewer(show=True, show_welcome_screen=False)
        qtbot.wait_exposed(self._viewer.window._qt_window, timeout=60_000)
        self._viewer.window.resize(*_SIZE)
        # It filters each event of each widget, for a menu bar that hides itself.
        QApplication.instance().removeEventFilter(self._viewer.window._qt_window)
        QApplication.processEvents()
        self._start = _State(self._viewer)
        self._style = self._viewer.window._qt_window.styleSheet()
        get_settings().reset()
        self._settings = get_settings().model_dump()

    def _put_back(self) -> list[str]:
        viewer, start = self._viewer, self._start
        assert start is not None
        if not hasattr(viewer.window, "_qt_window"):
            self.close()
            return []
        left = [f"{name} of a closed panel still hears of the viewer" for name in start.panels()]
        # It is not drawn either until the next test has its panel.
        viewer.window._qt_window.setUpdatesEnabled(False)
        viewer.layers.clear()
        start.put_back()
        _process_all_events()
        left += [f"layer {layer.name}" for layer in viewer.layers]
        # They set the viewer's camera at each draw, and are disconnected.
        left += ["cameras of a grid"] * bool(viewer.window._qt_viewer.canvas.grid_cameras)
        left += [
            f"window {type(window).__name__} {window.windowTitle()}"
            for window in set(_visible_windows()) - self._windows
        ]
        left += [f"process {psutil.Process(p).cmdline()}" for p in _processes() - self._processes]
        self._reset_settings()
        return left

    def _reset_settings(self) -> None:
        """Restore napari's settings, if they were changed."""
        settings = get_settings()
        # Each panel leaves its place there. To reset all settings takes a hundredth of a second.
        settings.application.plugin_widget_positions.clear()
        if settings.model_dump() != self._settings:
            settings.reset()


@contextmanager
def undrawn(viewer: Any) -> Iterator[None]:
    """Suspend drawing of the window, and draw once at the end."""
    window = viewer.window._qt_window
    window.setUpdatesEnabled(False)
    try:
        yield
    finally:
        window.setUpdatesEnabled(True)


class _State:
    """The initial state of a viewer, to be restored."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._docks = set(viewer.window.dock_widgets)
        self._values = [
            (model, name, deepcopy(getattr(model, name)))
            for model in _models(viewer)
            for name in _plain_fields(model)
        ]
        self._mouse = {name: list(getattr(viewer, name)) for name in _MOUSE}
        self._keys = dict(viewer.keymap)
        self._heard = {id(e): list(e.callbacks) for e in _emitters(viewer)}

    def panels(self) -> list[str]:
        """Names of what a panel has connected to the viewer and not disconnected."""
        found = set()
        for _, callback in self._new_callbacks():
            target = callback[0]() if isinstance(callback, tuple) else callback
            module = type(target).__module__ if isinstance(callback, tuple) else target.__module__
            if target is not None and module.startswith(_OF_PANELS):
                found.add(type(target).__qualname__)
        for name in _MOUSE:
            found |= {f.__qualname__ for f in getattr(self._viewer, name)} - {
                f.__qualname__ for f in self._mouse[name]
            }
        return sorted(found | {str(k) for k in set(self._viewer.keymap) - set(self._keys)})

    def put_back(self) -> None:
        """Restore the viewer's state, except its layers."""
        viewer = self._viewer
        for emitter, callback in self._new_callbacks():
            emitter.disconnect(callback)
        for name in _MOUSE:
            getattr(viewer, name)[:] = self._mouse[name]
        viewer.keymap = dict(self._keys)
        for unfinished in (viewer._mouse_drag_gen, viewer._mouse_wheel_gen):
            unfinished.clear()
        viewer._persisted_mouse_event.clear()
        # Methods of napari that MUSE wraps.
        viewer.window._qt_viewer.canvas.__dict__.pop("_update_world_units", None)
        for name in set(viewer.window.dock_widgets) - self._docks:
            inner = viewer.window.dock_widgets[name]
            viewer.window.remove_dock_widget(inner)
            inner.close()
            inner.deleteLater()
        viewer.window.resize(*_SIZE)
        for model, name, value in self._values:
            if not _are_equal(getattr(model, name), value):
                setattr(model, name, deepcopy(value))

    def _new_callbacks(self) -> list[tuple[Any, Any]]:
        return [
            (emitter, callback)
            for emitter in _emitters(self._viewer)
            for callback in emitter.callbacks
            if callback not in self._heard.get(id(emitter), ())
        ]


def _models(model: Any) -> Iterator[Any]:
    """A model and its submodels."""
    yield model
    for name in type(model).model_fields:
        value = getattr(model, name)
        inner = value.values() if hasattr(value, "values") else [value]
        for part in inner:
            if isinstance(part, EventedModel):
                yield from _models(part)


def _plain_fields(model: Any) -> Iterator[str]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        follows = name in ("layers", *_MOUSE) or (type(model).__name__, name) in _FOLLOWS
        if not follows and not isinstance(value, EventedModel) and not hasattr(value, "values"):
            yield name


def _emitters(viewer: Any) -> Iterator[Any]:
    groups: list[EmitterGroup] = [viewer.layers.events, viewer.layers.selection.events]
    groups += [model.events for model in _models(viewer)]
    for group in groups:
        yield group
        yield from group.emitters.values()


def _are_equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def _visible_windows() -> Iterator[QWidget]:
    for window in QApplication.topLevelWidgets():
        if window.isVisible():
            yield window


def _processes() -> set[int]:
    """Living child processes, except Python's own helper."""
    found = set()
    for child in psutil.Process().children():
        try:
            own = "resource_tracker" in " ".join(child.cmdline())
            if child.status() != psutil.STATUS_ZOMBIE and not own:
                found.add(child.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def _process_all_events() -> None:
    """Process everything that waits for the event loop, including deletions."""
    for _ in range(3):
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _no_console(*_: Any) -> QWidget:
    console = QWidget()
    console.__dict__["_update_theme"] = lambda *_, **__: None
    return console
