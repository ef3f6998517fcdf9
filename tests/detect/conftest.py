"""A slide of dots with known nuclei."""

from __future__ import annotations

import pytest

from muse_core.slides import Slide, open_slide

from .blobs import Scene, save_png, scene


@pytest.fixture(scope="module")
def dots() -> Scene:
    return scene(700, 500)


@pytest.fixture(scope="module")
def slide(dots: Scene, tmp_path_factory: pytest.TempPathFactory) -> Slide:
    return open_slide(save_png(dots.rgb, tmp_path_factory.mktemp("dots") / "dots.png"), mpp=0.5)
