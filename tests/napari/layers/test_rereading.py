"""A slide whose file cannot be read is said so once, and drawn when it can be read again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_muse.panels.muse_panel import MusePanel

_SIDE = 3000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A pyramid of which napari reads only what is in view."""
    y, x = np.mgrid[:_SIDE, :_SIDE]
    pixels = np.stack([x // 12 % 256, y // 12 % 256, 0 * x], axis=-1).astype(np.uint8)
    path = tmp_path / "large.tif"
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate((pixels, pixels[::4, ::4])):
            file.write(
                level, photometric="rgb", tile=(256, 256), subfiletype=min(number, 1),
                resolution=(20000, 20000), resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


def _look_at(panel: MusePanel, qtbot: Any, x: float, y: float) -> None:
    camera = panel.session.viewer.scene.camera
    camera.center, camera.zoom = (0, y / 2, x / 2), 4
    qtbot.wait(150)


def test_what_cannot_be_read_is_said_once_and_drawn_later(
    panel: MusePanel, path: Path, qtbot: Any
) -> None:
    session = panel.session
    session.viewer.open(path, plugin="napari-muse")
    _look_at(panel, qtbot, 300, 300)
    refused: list[str] = []
    session.refused.connect(refused.append)
    content = path.read_bytes()
    os.truncate(path, 1000)
    for step in range(3):
        _look_at(panel, qtbot, 2500 + 100 * step, 2500)
    assert len(refused) == 1
    assert refused[0].startswith("large.tif")
    assert panel.status.text() == refused[0]
    path.write_bytes(content)
    qtbot.waitUntil(lambda: panel.status.text() == "large.tif can be read again.")
    _, value = session.image_layer.get_value((1250.0, 1350.0), world=True)
    assert value.tolist() == [2700 // 12, 2500 // 12, 0]
    assert session.image_layer.visible
