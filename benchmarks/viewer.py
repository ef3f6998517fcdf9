"""Speed of the annotation workbench with many nuclei, in a real window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/viewer.py [--nuclei 1000000]

Opens a blank slide with a store of that many nuclei and times what a person does. A frame is timed
by itself, so that what panning adds to it can be seen.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tifffile
import typer

_SIDE_PX = 20_000
_REPEATS = 15


def _make_slide(folder: Path) -> Path:
    path = folder / "blank.tif"
    level = np.full((_SIDE_PX, _SIDE_PX, 3), 240, dtype=np.uint8)
    with tifffile.TiffWriter(path) as writer:
        for step in (1, 4, 16):
            writer.write(
                level[::step, ::step], photometric="rgb", tile=(512, 512), compression="jpeg",
                resolution=(20000 / step, 20000 / step), resolutionunit="CENTIMETER",
                subfiletype=0 if step == 1 else 1,
            )  # fmt: skip
    return path


def _fill_store(slide: Path, n: int) -> None:
    from muse_core.nuclei import ClassScheme, nucleus_table
    from muse_core.nuclei.store import StorePlace

    rng = np.random.default_rng(0)
    names = np.array(["lymphocyte", "stromal", "tumor"], dtype=object)[rng.integers(0, 3, n)]
    x, y = rng.uniform(0, _SIDE_PX, (2, n))
    scheme = ClassScheme.from_names(["lymphocyte", "stromal", "tumor"])
    with StorePlace.of(slide).create(scheme) as store:
        store.insert(nucleus_table(x, y, names.tolist(), rng.random(n), model="m"))


def _median_ms(act: Callable[[int], object], times: int = _REPEATS) -> float:
    spent = []
    for i in range(times):
        begin = time.perf_counter()
        act(i)
        spent.append(time.perf_counter() - begin)
    return float(np.median(spent)) * 1000


def main(nuclei: Annotated[int, typer.Option(help="How many.")] = 1_000_000) -> None:
    """Print a table of times."""
    import napari

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["MUSE_ANNOTATIONS"] = str(Path(folder) / "annotations")
        slide = _make_slide(Path(folder))
        _fill_store(slide, nuclei)
        viewer = napari.Viewer()
        viewer.window.resize(1500, 950)
        _, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
        print("| | |\n|---|---|")
        begin = time.perf_counter()
        viewer.open(slide, plugin="napari-muse")
        opened = time.perf_counter() - begin
        print(f"| open slide and store of {nuclei:,} nuclei | {opened:.2f} s |")
        _time_use(viewer, panel)
        viewer.close()


def _time_use(viewer: Any, panel: Any) -> None:
    from qtpy.QtWidgets import QApplication

    session, layer = panel.session, panel.session.nuclei
    camera = viewer.scene.camera
    canvas = viewer.window._qt_viewer.canvas._scene_canvas

    def frame(_: int = 0) -> None:
        canvas.update()
        QApplication.processEvents()
        canvas.native.grabFramebuffer()

    viewer.reset_view()
    layer.refresh()
    frame()
    print(f"| frame, density image of {layer.in_view:,} | {_median_ms(frame):.1f} ms |")
    for wanted in (7_000, 500):
        height, width = viewer.canvas.size
        share = np.sqrt(wanted / len(session.book.rows) * width / height)
        camera.zoom = width / (share * _SIDE_PX * session.mpp)
        layer.refresh()
        frame()
        still = _median_ms(frame)
        y, x = camera.center[-2:]

        def pan(i: int, x: float = x, y: float = y) -> None:
            camera.center = (0, y, x + 4 * (i + 1))
            frame()

        moving = _median_ms(pan)
        load = _median_ms(lambda _: layer.refresh())
        ids = layer.shown_ids

        def edit(i: int, ids: Any = ids) -> None:
            session.book.set_class([ids[i]], i % 3)
            layer.refresh()

        edited = _median_ms(edit)
        print(f"| frame, {len(ids):,} nuclei drawn | {still:.1f} ms |")
        print(f"| panning adds to it | {moving - still:.1f} ms |")
        print(f"| what is in view, loaded anew | {load:.1f} ms |")
        print(f"| one edit, on disk and in the layer | {edited:.1f} ms |")


if __name__ == "__main__":
    typer.run(main)
