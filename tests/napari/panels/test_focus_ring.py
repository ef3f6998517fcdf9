"""The ring that shows which control has the keyboard focus."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from qtpy.QtCore import QBuffer, QRect, Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_muse.napari_compat import canvas_widget
from napari_muse.panels.muse_panel import MusePanel

from ..actions import use_window

_LEAST_CONTRAST = 3.0
"""Of what shows the focus against what lies beside it: WCAG 2.2, 1.4.11."""


def look(widget: QWidget) -> npt.NDArray[np.uint8]:
    """(h, w, 3) what is seen of a widget and a little around it."""
    window = widget.window()
    assert window is not None
    corner = widget.mapTo(window, widget.rect().topLeft())
    seen = QRect(corner, widget.size()).adjusted(-3, -3, 3, 3)
    held = QBuffer()
    assert window.grab(seen).save(held, "PNG")
    return np.asarray(Image.open(BytesIO(held.data().data())).convert("RGB"))


def luminance(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Relative luminance, WCAG 2.2."""
    part = pixels / 255.0
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ (0.2126, 0.7152, 0.0722))


def contrast_of_change(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Contrast of each pixel with what it was."""
    one, other = luminance(before) + 0.05, luminance(after) + 0.05
    return np.asarray(np.maximum(one, other) / np.minimum(one, other))


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_tab_shows_where_it_has_led(
    opened: MusePanel, styled: None, theme: str, qtbot: Any
) -> None:
    viewer = opened.session.viewer
    viewer.theme = theme
    use_window(opened, qtbot)
    opened.tabs.setCurrentIndex(0)
    qtbot.wait(100)
    detect = opened.detect
    chain = (detect.model, detect.device, detect.precision, detect.place, detect.draw)
    unfocused = [look(each) for each in chain]
    detect.model.setFocus(Qt.FocusReason.TabFocusReason)
    for each, before in zip(chain, unfocused, strict=True):
        qtbot.wait(50)
        assert QApplication.focusWidget() is each
        seen = contrast_of_change(before, look(each)) > _LEAST_CONTRAST
        assert seen.sum() > each.width() + each.height(), f"{each.accessibleName()}: {seen.sum()}"
        qtbot.keyClick(each, Qt.Key.Key_Tab)
    canvas_widget(viewer).setFocus()
    qtbot.wait(50)
    np.testing.assert_array_equal(look(detect.draw), unfocused[-1])
    viewer.theme = "dark"


def test_it_is_shown_in_a_dialog_and_survives_it(
    opened: MusePanel, styled: None, qtbot: Any
) -> None:
    use_window(opened, qtbot)
    dialog = opened.legend.edit_classes()
    qtbot.waitExposed(dialog)
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow, timeout=5000)
    dialog.undo.setFocus()
    qtbot.wait(50)
    before = look(dialog.add)
    dialog.add.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.wait(50)
    assert (contrast_of_change(before, look(dialog.add)) > _LEAST_CONTRAST).sum() > 100
    dialog.close()
    dialog.deleteLater()
    use_window(opened, qtbot)
    before = look(opened.detect.start)
    opened.detect.start.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.wait(50)
    assert (contrast_of_change(before, look(opened.detect.start)) > _LEAST_CONTRAST).sum() > 100
