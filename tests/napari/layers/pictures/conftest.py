"""Images added to the window from the console."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from napari_muse.panels.muse_panel import MusePanel


@pytest.fixture
def add(panel: MusePanel, qtbot: Any) -> Callable[..., Any]:
    """Adds an image as from the console, and waits until MUSE has examined it."""

    def act(data: Any, **settings: Any) -> Any:
        layer = panel.session.viewer.add_image(data, **settings)
        qtbot.waitUntil(lambda: panel.session.pictures.opening is None, timeout=20_000)
        qtbot.wait(50)
        return layer

    return act
