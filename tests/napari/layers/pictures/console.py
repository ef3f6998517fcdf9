"""An image as created in the console, and the choice among several in the panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt

from napari_muse.panels.muse_panel import MusePanel

LEFT = Qt.MouseButton.LeftButton


def tissue(height: int = 300, width: int = 400) -> npt.NDArray[np.uint8]:
    """Three dark discs on a pink background."""
    pixels = np.full((height, width, 3), (235, 200, 220), dtype=np.uint8)
    y, x = np.mgrid[:height, :width] + 0.5
    for cx, cy in ((100, 100), (200, 150), (300, 200)):
        pixels[np.hypot(x - cx, y - cy) < 8] = (80, 50, 130)
    return pixels


RGB = tissue()


def listed(panel: MusePanel) -> list[str]:
    return [panel.picture.layer.itemText(i) for i in range(panel.picture.layer.count())]


def choose(panel: MusePanel, name: str, qtbot: Any) -> None:
    """Choose an image in the panel by keyboard."""
    box = panel.picture.layer
    box.setFocus()
    box.setCurrentIndex(listed(panel).index(name))
    box.activated.emit(box.currentIndex())
    qtbot.waitUntil(lambda: panel.session.pictures.opening is None, timeout=20_000)
    qtbot.wait(50)
