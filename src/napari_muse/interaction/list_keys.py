"""MUSE's keys while the layer list has the focus, which would otherwise search for a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import ref

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent

from napari_muse.interaction.latin_keys import latin_key
from napari_muse.napari_compat import hand_key_to_napari, layer_list_widget, main_widget

if TYPE_CHECKING:
    from napari.components import ViewerModel

_MEANT_FOR_THE_SLIDE = frozenset("123456789APLVNR ")
_REMOVING = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)


class ListKeys(QObject):
    """Passes letters and digits from the layer list to the viewer.

    The list would take them as the start of a layer's name and make that layer active, and so
    possibly another slide current. Delete, which removes the selected layers, is checked first.
    """

    def __init__(
        self, viewer: ViewerModel, wanted: Callable[[], bool], keep_layers: Callable[[], bool]
    ) -> None:
        """Watch.

        Args:
            viewer: Whose list.
            wanted: Whether the keys are MUSE's now.
            keep_layers: Whether the layers that are chosen stay; says why.
        """
        super().__init__()
        self._wanted, self._keep_layers = wanted, keep_layers
        self._list = layer_list_widget(viewer)
        # A weak reference, so that a closed panel does not keep the window alive.
        self._main = ref(main_widget(viewer))
        self._list.installEventFilter(self)

    def close(self) -> None:
        """Give the keys back."""
        self._list.removeEventFilter(self)

    def eventFilter(self, _: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 (Qt's name)
        """Whether the event was ours."""
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return False
        plain = event.modifiers() in (
            Qt.KeyboardModifier.NoModifier,
            Qt.KeyboardModifier.ShiftModifier,
        )
        if event.key() in _REMOVING:
            return self._wanted() and self._keep_layers()
        if not plain or _letter(event) not in _MEANT_FOR_THE_SLIDE or not self._wanted():
            return False
        main = self._main()
        if main is not None:
            hand_key_to_napari(main, event)
        return True


def _letter(event: QKeyEvent) -> str:
    return latin_key(event) or event.text().upper()
