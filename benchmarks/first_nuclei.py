"""Time from a click on Detect to the first nuclei on screen, in a real window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/first_nuclei.py SLIDE.svs

Opens the slide, waits until the waiting process has loaded the model, zooms to a field and presses
the button with the mouse. Recorded are the times until the process reports that it has started,
until its first nuclei arrive, and until a frame with nuclei has been painted. ``--picture`` saves
that frame.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

_LIMIT_S = 120.0
_IDLE_S = 1.0
_FIELD_PX = 800


def main(
    slide: Annotated[Path, typer.Argument(help="A slide with tissue in the middle.")],
    model: Annotated[str, typer.Option(help="Name of a model.")] = "muse-base",
    repeats: Annotated[int, typer.Option(help="Number of clicks.")] = 5,
    picture: Annotated[Path | None, typer.Option(help="File for the last frame.")] = None,
) -> None:
    """Print a table of seconds."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["MUSE_ANNOTATIONS"] = str(Path(folder) / "annotations")
        os.environ["XDG_DATA_HOME"] = folder
        import napari

        from muse_core.models.registry import resolve_model

        viewer = napari.Viewer()
        viewer.window.resize(1500, 950)
        _, panel = viewer.window.add_plugin_dock_widget("napari-muse", "MUSE")
        viewer.open(slide, plugin="napari-muse")
        panel.detect.model.setCurrentIndex(panel.detect.model.findData(str(resolve_model(model))))
        times = [_click(viewer, panel) for _ in range(repeats)]
        if picture is not None:
            viewer.window._qt_viewer.canvas.native.grabFramebuffer()
            viewer.screenshot(str(picture), canvas_only=False, flash=False)
        print(f"| seconds after the click, {model} | least | median |\n|---|---|---|")
        for i, what in enumerate(("job begun", "first nuclei received", "first nuclei painted")):
            column = [t[i] for t in times]
            print(f"| {what} | {min(column):.2f} | {statistics.median(column):.2f} |")
        viewer.close()


def _click(viewer: Any, panel: Any) -> tuple[float, float, float]:
    """Seconds to the start of the job, to the arrival of nuclei and to their painting."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    from muse_core.jobs import DetectionStarted, NucleiFound
    from muse_core.slides import Region

    session, shown = panel.session, panel.session.nuclei
    # Nuclei of the previous click are replaced by new ones.
    last_id = max(session.annotations.rows["id"], default=-1)
    middle = session.slide.width / 2, session.slide.height / 2
    half = _FIELD_PX / 2
    session.show_area(Region(middle[0] - half, middle[1] - half, _FIELD_PX, _FIELD_PX))
    _wait_for_a_ready_process(panel.detection.runner)
    seen: dict[str, float] = {}
    begin = time.perf_counter()

    def heard(event: object) -> None:
        for name, kind in (("begun", DetectionStarted), ("received", NucleiFound)):
            if isinstance(event, kind):
                seen.setdefault(name, time.perf_counter() - begin)

    def painted(_: object) -> None:
        if (np.asarray(shown.shown_ids) > last_id).any():
            seen.setdefault("painted", time.perf_counter() - begin)

    panel.detection.runner.said.connect(heard)
    draw = viewer.window._qt_viewer.canvas._scene_canvas.events.draw
    draw.connect(painted, position="last")
    begin = time.perf_counter()
    press: Any = QTest.mouseClick
    press(panel.detect.start, Qt.MouseButton.LeftButton)
    _wait(lambda: "painted" in seen)
    draw.disconnect(painted)
    panel.detection.runner.said.disconnect(heard)
    _wait(lambda: not panel.detection.running)
    return seen["begun"], seen["received"], seen["painted"]


def _wait_for_a_ready_process(runner: Any) -> None:
    """Wait until there is a waiting process and it is idle."""
    import psutil

    _wait(lambda: runner._ready is not None and runner._ready.processId() > 0)
    process = psutil.Process(runner._ready.processId())
    spent = -1.0
    while True:
        times = process.cpu_times()
        if times.user + times.system == spent:
            return
        spent = times.user + times.system
        _rest(_IDLE_S)


def _rest(seconds: float) -> None:
    end = time.monotonic() + seconds
    _wait(lambda: time.monotonic() > end)


def _wait(over: Callable[[], bool]) -> None:
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + _LIMIT_S
    while not over():
        if time.monotonic() > end:
            raise TimeoutError("it took too long")
        QApplication.processEvents()
        time.sleep(0.001)


if __name__ == "__main__":
    typer.run(main)
