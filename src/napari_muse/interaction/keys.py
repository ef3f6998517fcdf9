"""Keys and mouse: the same whether the slide's layer or the nuclei are active."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.utils.key_bindings import coerce_keybinding
from psygnal import Signal

from napari_muse.annotations.coordinates import from_world
from napari_muse.annotations.review_queue import ReviewQueue
from napari_muse.interaction.lasso import Lasso
from napari_muse.interaction.nucleus_clipboard import NucleusClipboard
from napari_muse.interaction.tab_key import TabKey
from napari_muse.interaction.undo_steps import redo, undo
from napari_muse.session import MuseSession

HELP = (
    ("click", "select a nucleus; Shift-click for more"),
    ("1 to 9", "class of the selected nuclei, or of the next clicks"),
    ("Space", "confirm the selected nuclei"),
    ("A", "add mode: click adds nuclei"),
    ("P", "paint mode: click gives a nucleus the class"),
    ("L", "lasso: draw around nuclei to select them"),
    ("Delete", "remove the selected nuclei"),
    ("Esc", "select nothing, leave every mode"),
    ("N", "next doubtful nucleus; Shift-N the one before"),
    ("R", "mark the visible field as reviewed"),
    ("Tab", "show all classes, then one after the other"),
    ("V", "show or hide the nuclei"),
    ("Ctrl-C", "copy the selected nuclei; Ctrl-V paste them where they were, here or elsewhere"),
    ("Ctrl-Z", "undo; Ctrl-Shift-Z redo"),
)
_CLICK_RADIUS_PX = 12.0
"""On screen, around the pointer."""


class Keys:
    """Binds the keys of a session to its layers, and the click to its viewer."""

    mode_changed = Signal()

    def __init__(
        self,
        session: MuseSession,
        queue: ReviewQueue,
        choose_class: Callable[[int], None],
        next_class_shown: Callable[[], None],
    ) -> None:
        """Bind.

        Args:
            session: Whose nuclei the keys act on.
            queue: What N and Shift-N walk along.
            choose_class: Called with the index of the class that new nuclei get.
            next_class_shown: Called to show another class alone, or all again.
        """
        self._session = session
        self._queue = queue
        self._choose_class = choose_class
        self._next_class_shown = next_class_shown
        self._bound: list[Any] = []
        self.paint_mode = False
        self.lasso = Lasso(session)
        self._clipboard = NucleusClipboard(session)
        session.slide_changed.connect(self._bind_all)
        session.viewer.mouse_drag_callbacks.append(self._on_click)
        self._tab = TabKey(session.viewer, lambda: self._on_slide(self._next_class_shown))
        self._bind_all()

    def close(self) -> None:
        """Let go of the viewer and its layers."""
        self._tab.close()
        self.lasso.close()
        self._session.slide_changed.disconnect(self._bind_all)
        self._session.viewer.mouse_drag_callbacks.remove(self._on_click)
        for layer in self._bound:
            for key in self._actions():
                layer.bind_key(key, None)
        self._bound.clear()

    @property
    def add_mode(self) -> bool:
        """Whether a click adds a nucleus."""
        return str(self._session.nuclei.layer.mode) == "add"

    def set_add_mode(self, on: bool) -> None:
        """Enter or leave add mode."""
        layer = self._session.nuclei.layer
        if on:
            self._session.viewer.layers.selection.active = layer
            self.set_paint_mode(False)
        layer.mode = "add" if on else "pan_zoom"

    def set_paint_mode(self, on: bool) -> None:
        """Enter or leave paint mode, in which a click gives a nucleus the class of new ones."""
        if on:
            self.set_add_mode(False)
            self._session.nuclei.select([])
        if on != self.paint_mode:
            self.paint_mode = on
            self.mode_changed.emit()

    def _bind_all(self) -> None:
        for layer in (self._session.nuclei.layer, self._session.image_layer):
            if layer is not None and not any(layer is known for known in self._bound):
                self._bound.append(layer)
                for key, action in self._actions().items():
                    layer.bind_key(key, _or_napari(key, action), overwrite=True)

    def _actions(self) -> dict[str, Callable[[], bool]]:
        """Key to action; an action that returns False leaves the key to napari."""
        digits = {str(d): self._digit_action(d) for d in range(1, 10)}
        return digits | {
            "A": self._toggle_add_mode,
            "P": self._toggle_paint_mode,
            "L": lambda: self._on_slide(self.lasso.toggle),
            "Space": self._confirm,
            "Delete": self._delete,
            "Backspace": self._delete,
            "Escape": self._escape,
            "V": self._toggle_nuclei,
            "N": lambda: self._on_slide(self._queue.next),
            "Shift-N": lambda: self._on_slide(self._queue.previous),
            "R": lambda: self._on_slide(self._session.mark_field_reviewed),
            "Control-C": self._clipboard.copy,
            "Control-V": lambda: self._on_slide(self._clipboard.paste),
            "Control-Z": lambda: self._on_slide(lambda: undo(self._session)),
            "Control-Shift-Z": lambda: self._on_slide(lambda: redo(self._session)),
        }

    def _digit_action(self, digit: int) -> Callable[[], bool]:
        def act() -> bool:
            keys = [c.key for c in self._session.annotations.scheme.classes]
            if str(digit) not in keys:
                return False
            index = keys.index(str(digit))
            if self.add_mode or self.paint_mode:
                self._choose_class(index)
                return True
            return self._deal_with(lambda ids: self._session.annotations.set_class(ids, index))

        return act

    def _on_slide(self, act: Callable[[], object]) -> bool:
        """Do something that needs a slide; without one the key is napari's."""
        if self._session.slide is None:
            return False
        self._session.attempt(act)
        return True

    def _deal_with(self, act: Callable[[Any], object]) -> bool:
        """Do something with the selected nuclei, and go on in the queue."""
        ids = self._session.nuclei.selected_ids
        if len(ids) and self._session.attempt(lambda: act(ids)):
            # At once: the next key may follow in a tenth of a second.
            self._session.nuclei.refresh()
            self._session.attempt(lambda: self._queue.dealt_with(ids))
        return bool(len(ids))

    def _toggle_add_mode(self) -> bool:
        if self._session.slide is None:
            return False
        self.set_add_mode(not self.add_mode)
        return True

    def _toggle_paint_mode(self) -> bool:
        if self._session.slide is None:
            return False
        self.set_paint_mode(not self.paint_mode)
        return True

    def _confirm(self) -> bool:
        return self._deal_with(lambda ids: self._session.annotations.confirm(ids))

    def _delete(self) -> bool:
        return self._deal_with(lambda ids: self._session.annotations.delete(ids))

    def _escape(self) -> bool:
        self.set_add_mode(False)
        self.set_paint_mode(False)
        if self.lasso.on:
            self.lasso.toggle()
        self._session.nuclei.select([])
        return True

    def _toggle_nuclei(self) -> bool:
        layer = self._session.nuclei.layer
        layer.visible = not layer.visible
        return True

    def _on_click(self, viewer: Any, event: Any) -> Iterator[None]:
        """A click that is no drag selects the nucleus under the pointer."""
        if viewer.layers.selection.active not in self._bound:
            return  # The tools of another layer, shapes for one, have the mouse.
        pressed = np.asarray(event.pos, dtype=float)
        yield
        while event.type == "mouse_move":
            yield
        moved = np.abs(np.asarray(event.pos, dtype=float) - pressed).max()
        nuclei = self._session.nuclei
        # napari's own tools (add, select) act on the nuclei layer themselves.
        if moved > 3 or event.button != 1 or str(nuclei.layer.mode) != "pan_zoom":
            return
        scale = self._session.mpp or 1.0
        x, y = from_world(event.position, scale)
        radius = _CLICK_RADIUS_PX / viewer.scene.camera.zoom / scale
        hit = nuclei.nearest(float(x[0]), float(y[0]), radius) if nuclei.layer.visible else None
        if self.paint_mode:
            if hit is not None:
                annotations = self._session.annotations
                self._session.attempt(lambda: annotations.set_class([hit], nuclei.new_class))
            return
        if hit is not None:
            before = nuclei.selected_ids.tolist() if "Shift" in event.modifiers else []
            # napari marks the selection of the active layer only.
            viewer.layers.selection.active = nuclei.layer
            nuclei.select([*before, hit])
        elif "Shift" not in event.modifiers:
            nuclei.select([])


def _or_napari(key: str, action: Callable[[], bool]) -> Callable[[Any], Any]:
    """The action, or what napari does with the key where the action declines."""

    def on_key(layer: Any) -> Callable[[], Any] | None:
        return None if action() else _naparis_own(layer, coerce_keybinding(key))

    return on_key


def _naparis_own(layer: Any, key: Any) -> Callable[[], Any] | None:
    """Do what napari binds to a key for this kind of layer; returns what release is to call."""
    for cls in type(layer).__mro__:
        function = getattr(cls, "class_keymap", {}).get(key)
        if not callable(function):
            continue
        result = function(layer)
        if not inspect.isgenerator(result):
            return result if callable(result) else None
        next(result, None)
        return lambda: next(result, None)
    return None
