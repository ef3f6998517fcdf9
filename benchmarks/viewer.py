"""Speed of the annotation workbench with many nuclei, in a real window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/viewer.py [--nuclei 1000000]

Opens a blank slide with a store of that many nuclei and times what a user does: with nearly as
many nuclei in view as are drawn individually, and zoomed in as for reviewing. A frame is timed on
its own, so that the cost added by panning can be seen. Other load on the machine affects the lowest
times less than the medians, and the busy time of the interface's thread least.
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
_ROUNDS = 3
_STEP = 0.04
"""Distance of panning per frame, in view widths."""
_NEARLY = 0.97
_FEW = 500
_TICK_S = 0.002
_TURNS_AFTER = 200


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


def _times_ms(act: Callable[[int], object], times: int = _REPEATS) -> Any:
    """(times, 2) of each call: its duration, and the busy time of its thread."""
    spent = []
    for i in range(times):
        begin, busy = time.perf_counter(), time.thread_time()
        act(i)
        spent.append((time.perf_counter() - begin, time.thread_time() - busy))
    return np.array(spent) * 1000


def _say(what: str, times_ms: Any, without_ms: Any = ((0.0, 0.0),)) -> None:
    """A row: median, lowest and, of the busy time, mean; less those of something else."""
    (took, _), (least, _), (_, work) = (
        of(times_ms, axis=0) - of(without_ms, axis=0) for of in (np.median, np.min, np.mean)
    )
    print(f"| {what} | {took:.1f} ({least:.1f}) | {work:.1f} |")


def _turns_ms(while_: Callable[[], bool]) -> tuple[Any, float]:
    """(N, 2) of each turn of the event loop while something lasts and is drawn: see _times_ms.

    Then the time at which it lasted no more.
    """
    from qtpy.QtWidgets import QApplication

    turns: list[Any] = []
    last, over = 0, 0.0
    while len(turns) - last < _TURNS_AFTER:
        turns.append(_times_ms(lambda _: QApplication.processEvents(), times=1)[0])
        time.sleep(_TICK_S)
        if while_():
            last, over = len(turns), time.perf_counter()
    return np.array(turns), over


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
        print("| | ms, median (least) | of that at work, mean |\n|---|---|---|")
        begin = time.perf_counter()
        ((took, work),) = _times_ms(lambda _: viewer.open(slide, plugin="napari-muse"), times=1)
        print(f"| open slide and store of {nuclei:,} nuclei | {took:.0f} | {work:.0f} |")
        turns, over = _turns_ms(lambda: panel.session.annotations.reading)
        read = (over - begin) * 1000
        print(f"| until its nuclei are read | {read:.0f} | {work + turns[:, 1].sum():.0f} |")
        took, work = turns.max(axis=0)
        print(f"| longest that the interface is held meanwhile | {took:.0f} | {work:.0f} |")
        _time_use(viewer, panel)
        viewer.close()


def _time_use(viewer: Any, panel: Any) -> None:
    from qtpy.QtWidgets import QApplication

    from napari_muse.layers.rows_in_view import MAX_IN_VIEW

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
    _say(f"frame, density image of {layer.in_view:,}", _times_ms(frame))
    for wanted in (_NEARLY * MAX_IN_VIEW, _FEW):
        height, width = viewer.canvas.size
        share = np.sqrt(wanted / len(session.annotations.rows) * width / height)
        camera.zoom = width / (share * _SIDE_PX * session.mpp)
        layer.refresh()
        frame()
        y, x = camera.center[-2:]
        across = width / camera.zoom

        def pan(i: int, x: float = x, y: float = y, step: float = _STEP * across) -> None:
            camera.center = (0, y, x + step * i)
            frame()

        # Alternating, so that other load on the machine affects both. Without the slide's image,
        # because panning would load further tiles of it.
        session.image_layer.visible = False
        turns = [[_times_ms(act) for act in (frame, pan)] for _ in range(_ROUNDS)]
        session.image_layer.visible = True
        still, moving = (np.concatenate(times) for times in zip(*turns, strict=True))
        load = _times_ms(lambda _: layer.refresh())
        ids = layer.shown_ids

        def edit(i: int, ids: Any = ids) -> None:
            session.annotations.set_class([ids[i]], 1 + i % 3)
            layer.refresh()

        _say(f"frame, {layer.in_view:,} nuclei in view, {len(ids):,} drawn", still)
        _say("panning adds to it", moving, still)
        _say("what is in view, loaded anew", load)
        _say("one edit, on disk and in the layer", _times_ms(edit))


if __name__ == "__main__":
    typer.run(main)
