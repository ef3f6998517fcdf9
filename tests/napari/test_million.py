"""A million nuclei in the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from muse_core.nuclei import ClassScheme, nucleus_table
from muse_core.nuclei.store import StorePlace
from napari_muse.layers.rows_in_view import MAX_DRAWN
from napari_muse.panels.muse_panel import MusePanel

N, SIDE_PX = 1_000_000, 20_000


@pytest.mark.slow
def test_a_million_nuclei_open_zoom_edit_and_undo(
    panel: MusePanel, tmp_path: Path, annotations_folder: Path, qtbot: Any
) -> None:
    path = tmp_path / "blank.tif"
    blank = np.full((SIDE_PX // 4, SIDE_PX // 4, 3), 240, dtype=np.uint8)
    with tifffile.TiffWriter(path) as writer:
        for step in (1, 4):
            writer.write(
                np.repeat(np.repeat(blank, 4, 0), 4, 1) if step == 1 else blank,
                photometric="rgb", tile=(512, 512), compression="jpeg",
                resolution=(20000 / step, 20000 / step), resolutionunit="CENTIMETER",
                subfiletype=int(step > 1),
            )  # fmt: skip
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, SIDE_PX, (2, N))
    names = np.array(["a", "b"], dtype=object)[rng.integers(0, 2, N)].tolist()
    with StorePlace(path, annotations_folder).create(ClassScheme.from_names(["a", "b"])) as store:
        store.insert(nucleus_table(x, y, names))
    session = panel.session
    session.viewer.open(path, plugin="napari-muse")
    qtbot.waitUntil(lambda: not session.annotations.reading, timeout=60_000)
    assert session.annotations.counts().sum() == N
    session.nuclei.refresh()
    assert all(session.viewer.layers[f"Density: {name}"].visible for name in "ab")
    session.viewer.scene.camera.zoom *= 20
    qtbot.waitUntil(lambda: 0 < len(session.nuclei.layer.data) <= MAX_DRAWN, timeout=60_000)
    view = session.nuclei.field_of_view()
    shown = session.annotations.rows[session.annotations.index_of(session.nuclei.shown_ids)]
    inside = (x >= view.x) & (x < view.x1) & (y >= view.y) & (y < view.y1)
    assert view.contains(shown["x"], shown["y"]).sum() == inside.sum()
    before = session.annotations.counts()
    number = int(shown["id"][0])
    session.annotations.set_class([number], 3 - int(shown["class_id"][0]))
    assert abs(session.annotations.counts() - before).tolist() == [1, 1]
    assert session.annotations.undo()
    assert session.annotations.counts().tolist() == before.tolist()
