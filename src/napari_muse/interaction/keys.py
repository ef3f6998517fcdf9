"""Key and mouse bindings, in force while a slide is open, whichever layer is active."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_muse.annotations.review_queue import ReviewQueue
from napari_muse.interaction.careful_edits import CarefulEdits
from napari_muse.interaction.lasso import Lasso
from napari_muse.interaction.latin_keys import latin_key
from napari_muse.interaction.list_keys import ListKeys
from napari_muse.interaction.nucleus_clipboard import NucleusClipboard
from napari_muse.interaction.tab_key import TabKey
from napari_muse.interaction.undo_steps import redo_edit, undo_edit
from napari_muse.layers.shown_classes import show_next_class
from napari_muse.napari_compat import KeysReplaced, is_drawing, own_action
from napari_muse.session import MuseSession

HELP = (
    ("click", "select a nucleus; Shift-click for more, or for one less"),
    ("1 to 9", "class of the selected nuclei, or of the next clicks"),
    ("Space", "confirm the selected nuclei"),
    ("A", "add mode: click adds nuclei"),
    ("P", "paint mode: click gives a nucleus the class"),
    ("L", "lasso: draw around nuclei to select them"),
    ("Shift-L", "learn now: on or off"),
    ("Delete", "remove the selected nuclei"),
    ("Esc", "select nothing, leave every mode"),
    ("N", "next uncertain nucleus; Shift-N the one before"),
    ("R", "mark the visible field as reviewed"),
    ("Tab", "show all classes, then one after the other"),
    ("V", "show or hide the nuclei"),
    ("Ctrl-C", "copy the selected nuclei; Ctrl-V paste them where they were, here or elsewhere"),
    ("Ctrl-Z", "undo; Ctrl-Shift-Z or Ctrl-Y redo"),
)
_CLICK_RADIUS_PX = 12.0
"""Radius around the pointer, screen pixels."""
_NOTHING_SELECTED = "Select a nucleus first: click on one, or draw around some with L."
_WHILE_DRAWING = ("Escape", "Delete", "Backspace", "Control-C", "Control-V")
"""Keys that belong to what is being drawn, while something is."""
_PARTING = ("Control-E", "Control-T", "Control-Alt-T", "Control-G")
"""napari's keys that transpose axes or layers, or show layers side by side."""


class Keys:
    """Binds the keys of a session to the viewer and all its layers, and the click to the viewer.

    napari asks the active layer for the meaning of a key before the viewer; so each layer gets the
    bindings, and a key means the same whichever is active.
    """

    mode_changed = Signal()

    def __init__(
        self,
        session: MuseSession,
        queue: ReviewQueue,
        edits: CarefulEdits,
        choose_class: Callable[[int], None],
        learn_now: Callable[[], None],
    ) -> None:
        """Bind.

        Args:
            session: Whose nuclei the keys act on.
            queue: What N and Shift-N walk along.
            edits: Through which nuclei are changed and fields marked.
            choose_class: Called with the index of the class that new nuclei get.
            learn_now: Called to begin or cease to learn from each correction.
        """
        self._session = session
        self._queue = queue
        self._edits = edits
        self._learn_now = learn_now
        self._choose_class = choose_class
        self._bound: list[Any] = []
        self.paint_mode = False
        self.lasso = Lasso(session)
        self.lasso.changed.connect(self._on_lasso)
        self._clipboard = NucleusClipboard(session)
        viewer = session.viewer
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.selection.events.active.connect(self._on_active)
        viewer.mouse_drag_callbacks.append(self._on_click)
        session.slide_changed.connect(self.lasso.put_down)
        self._tab = TabKey(viewer, lambda: self._on_slide(self._show_next_class))
        self._list = ListKeys(viewer, self._is_open, self._keep_layers)
        self._latin = KeysReplaced(viewer, lambda key: latin_key(key) if self._is_open() else None)
        for provider in (viewer, *viewer.layers):
            self._bind(provider)

    def close(self) -> None:
        """Remove all bindings from the viewer and its layers."""
        viewer = self._session.viewer
        self._tab.close()
        self._list.close()
        self._latin.close()
        self.lasso.close()
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        viewer.layers.events.removed.disconnect(self._on_removed)
        viewer.layers.selection.events.active.disconnect(self._on_active)
        viewer.mouse_drag_callbacks.remove(self._on_click)
        self._session.slide_changed.disconnect(self.lasso.put_down)
        for provider in list(self._bound):
            self._unbind(provider)

    @property
    def add_mode(self) -> bool:
        """Whether a click adds a nucleus."""
        return str(self._session.nuclei.layer.mode) == "add"

    def set_add_mode(self, on: bool) -> None:
        """Enter or leave add mode."""
        layer = self._session.nuclei.layer
        if on:
            self.lasso.put_down()
            self._session.viewer.layers.selection.active = layer
            self.set_paint_mode(False)
            layer.visible = True
        layer.mode = "add" if on else "pan_zoom"

    def set_paint_mode(self, on: bool) -> None:
        """Enter or leave paint mode, in which a click gives a nucleus the class of new ones."""
        if on:
            self.lasso.put_down()
            self.set_add_mode(False)
            self._session.nuclei.show()
            self._session.nuclei.select([])
        if on != self.paint_mode:
            self.paint_mode = on
            self.mode_changed.emit()

    def _on_inserted(self, event: Any) -> None:
        self._bind(event.value)

    def _on_removed(self, event: Any) -> None:
        self._unbind(event.value)

    def _on_active(self, event: Any) -> None:
        """Leave add mode with its layer: a tool out of reach must not look as if it were on."""
        if event.value is not self._session.nuclei.layer and self.add_mode:
            self.set_add_mode(False)

    def _on_lasso(self) -> None:
        """One tool in hand at a time: digits mean the lassoed nuclei, and not what paints."""
        if self.lasso.on:
            self.set_paint_mode(False)

    def _bind(self, provider: Any) -> None:
        self._bound.append(provider)
        for key, action in self._actions().items():
            provider.bind_key(key, self._or_napari(key, action), overwrite=True)

    def _or_napari(self, key: str, action: Callable[[], bool]) -> Callable[[Any], Any]:
        """Run the action; if it returns False, run napari's own binding of the key."""

        def on_key(provider: Any) -> Callable[[], Any] | None:
            if action():
                return None
            return own_action((provider, self._session.viewer), key)

        return on_key

    def _unbind(self, provider: Any) -> None:
        if any(provider is known for known in self._bound):
            self._bound = [known for known in self._bound if known is not provider]
            for key in self._actions():
                provider.bind_key(key, None)

    def _is_open(self) -> bool:
        return self._session.slide is not None

    def _actions(self) -> dict[str, Callable[[], bool]]:
        """Key to action; an action that returns False leaves the key to napari."""
        digits = {str(d): self._digit_action(d) for d in range(1, 10)}
        parting = {key: self._refusal_to_part(key) for key in _PARTING}
        actions = (
            digits
            | parting
            | {
                "A": lambda: self._on_slide(lambda: self.set_add_mode(not self.add_mode)),
                "P": lambda: self._on_slide(lambda: self.set_paint_mode(not self.paint_mode)),
                "L": lambda: self._on_slide(self.lasso.toggle),
                "Shift-L": lambda: self._on_slide(self._learn_now),
                "Space": lambda: self._deal_with(self._edits.confirm),
                "Delete": lambda: self._deal_with(self._edits.delete),
                "Backspace": lambda: self._deal_with(self._edits.delete),
                "Escape": self._escape,
                "V": lambda: self._on_slide(self._toggle_nuclei),
                "N": lambda: self._on_slide(self._queue.next),
                "Shift-N": lambda: self._on_slide(self._queue.previous),
                "R": lambda: self._on_slide(self._edits.mark_field_reviewed),
                "Control-C": self._clipboard.copy,
                "Control-V": lambda: self._on_slide(self._clipboard.paste),
                "Control-Z": self._step(undo_edit, "undo"),
                "Control-Shift-Z": self._step(redo_edit, "redo"),
                "Control-Y": self._step(redo_edit, "redo"),
                "Control-Delete": self._keep_layers,
                "Control-Backspace": self._keep_layers,
            }
        )
        return actions | {key: self._unless_drawing(actions[key]) for key in _WHILE_DRAWING}

    def _unless_drawing(self, act: Callable[[], bool]) -> Callable[[], bool]:
        def guarded() -> bool:
            active = self._session.viewer.layers.selection.active
            drawing = self._is_tool(active) and _has_work(active) and not self.lasso.on
            return not drawing and act()

        return guarded

    def _is_tool(self, layer: Any) -> bool:
        """Whether a layer is one of the person's own, with a tool in hand."""
        own = (None, self._session.nuclei.layer, self._session.image_layer)
        return layer not in own and str(getattr(layer, "mode", "")) != "pan_zoom"

    def _refusal_to_part(self, key: str) -> Callable[[], bool]:
        return lambda: self._on_slide(
            lambda: self._session.refused.emit(
                f"{key.replace('Control', 'Ctrl')} would part the nuclei from the slide; it does"
                " nothing while a slide is open."
            )
        )

    def _keep_layers(self) -> bool:
        """Whether to keep the selected layers from being deleted, because MUSE's are among them."""
        chosen = list(self._session.viewer.layers.selection)
        own = [x for x in chosen if self._session.owns(x)]
        return bool(own) and self._on_slide(
            lambda: self._session.refused.emit(
                f"Layer {own[0].name} is MUSE's and stays. To close a slide, remove its layer with"
                " the bin below the list of layers."
            )
        )

    def _digit_action(self, digit: int) -> Callable[[], bool]:
        def act() -> bool:
            if not self._is_open():
                return False
            keys = [c.key for c in self._session.annotations.scheme.classes]
            if str(digit) not in keys:
                self._session.refused.emit(
                    f"No class has the key {digit}; press “Edit …” at the classes to give it one."
                )
                return True
            index = keys.index(str(digit))
            if self.add_mode or self.paint_mode:
                self._choose_class(index)
                return True
            class_id = self._session.annotations.class_ids[index]
            return self._deal_with(lambda ids, then: self._edits.set_class(ids, class_id, then))

        return act

    def _on_slide(self, act: Callable[[], object]) -> bool:
        """Run an action that needs a slide; without one the key is left to napari."""
        if not self._is_open():
            return False
        self._session.attempt(act)
        return True

    def _step(self, step: Callable[[MuseSession], None], of_labels: str) -> Callable[[], bool]:
        """Take a step back or forth: in labels while a person paints them, else in the nuclei."""

        def act() -> bool:
            active = self._session.viewer.layers.selection.active
            if self._is_open() and self._is_tool(active) and hasattr(active, of_labels):
                getattr(active, of_labels)()
                return True
            return self._on_slide(lambda: step(self._session))

        return act

    def _show_next_class(self) -> None:
        show_next_class(self._session.nuclei, self._session.annotations.class_ids)

    def _deal_with(self, act: Callable[[Any, Callable[[], None]], None]) -> bool:
        """Apply an action to the selected nuclei, and advance the queue."""
        if not self._is_open():
            return False
        ids = self._session.nuclei.selected_ids
        if not len(ids):
            self._session.refused.emit(_NOTHING_SELECTED)
            return True

        def then() -> None:
            # At once: the next key may follow in a tenth of a second.
            self._session.nuclei.refresh()
            self._session.attempt(lambda: self._queue.dealt_with(ids))

        self._session.attempt(lambda: act(ids, then))
        return True

    def _escape(self) -> bool:
        if not self._is_open():
            return False
        self.set_add_mode(False)
        self.set_paint_mode(False)
        self.lasso.put_down()
        self._session.nuclei.select([])
        if self._is_tool(self._session.viewer.layers.selection.active):
            self._session.activate_nuclei()
        return True

    def _toggle_nuclei(self) -> None:
        layer = self._session.nuclei.layer
        layer.visible = not layer.visible

    def _keep_from_adding(self) -> None:
        """Have napari's tool, which adds a point with any button, not hear of this press."""
        callbacks = self._session.nuclei.layer.mouse_drag_callbacks
        held = list(callbacks)
        callbacks.clear()

        def give_back() -> None:
            if self.add_mode:
                callbacks.extend(held)

        QTimer.singleShot(0, give_back)

    def _on_click(self, viewer: Any, event: Any) -> Iterator[None]:
        """A click that is no drag selects the nucleus under the pointer."""
        if self._is_tool(viewer.layers.selection.active):
            return  # The tools of another layer, shapes for one, have the mouse.
        if self.add_mode and event.button != 1:
            self._keep_from_adding()
            return
        pressed = np.asarray(event.pos, dtype=float)
        yield
        while event.type == "mouse_move":
            yield
        moved = np.abs(np.asarray(event.pos, dtype=float) - pressed).max()
        nuclei = self._session.nuclei
        # napari's own tools (add, select) act on the nuclei layer themselves.
        if moved > 3 or event.button != 1 or str(nuclei.layer.mode) != "pan_zoom":
            return
        placement = self._session.placement
        x, y = placement.from_world(event.position)
        radius = _CLICK_RADIUS_PX / viewer.scene.camera.zoom / placement.pixel
        hit = nuclei.nearest(float(x[0]), float(y[0]), radius) if nuclei.layer.visible else None
        if self.paint_mode:
            if hit is not None:
                annotations = self._session.annotations
                self._session.attempt(lambda: annotations.set_class([hit], nuclei.new_class))
            return
        if hit is not None:
            before = nuclei.selected_ids.tolist() if "Shift" in event.modifiers else ()
            # napari marks the selection of the active layer only.
            viewer.layers.selection.active = nuclei.layer
            nuclei.select(list({*before} ^ {hit}))
        elif "Shift" not in event.modifiers:
            nuclei.select([])


def _has_work(layer: Any) -> bool:
    """Whether a person is drawing something in a layer, or has selected what is drawn there."""
    return is_drawing(layer) or bool(len(getattr(layer, "selected_data", ())))
