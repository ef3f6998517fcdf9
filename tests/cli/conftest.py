"""A slide, a model and annotated images for the commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..job_inputs import write_model, write_points_folder, write_slide


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli")
    write_slide(root / "slide.png")
    write_model(root / "tiny.safetensors")
    write_points_folder(root / "points")
    write_points_folder(root / "other-classes", ("plasma", "mast"))
    return root
